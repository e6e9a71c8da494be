use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);

my @good = (
    qr/^(\w\w\w +\d+ \d+:\d+:\d+) \S+ homepop\[\d+\]: Welcome \S+ from (\d+\.\d+\.\d+\.\d+)/i,
    '^(\w\w\w +\d+ \d+:\d+:\d+) \S+ yourpop: in (\d+\.\d+\.\d+\.\d+)$',
);
sub custom_match { for my $each (@good) { return ($1, $2) if /$each/ } return }
1;
