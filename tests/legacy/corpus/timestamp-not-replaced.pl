use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);

my @login = ($pat, '^[LOGTIME] \S+ homepop\[\d+\]: welcome \S+ from (\d+\.\d+\.\d+\.\d+)');
sub custom_match { foreach my $each (@login) { return ($1, $2) if /$each/; } ( ); }
1;
