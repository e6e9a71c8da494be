use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);
$logtime_pat = '(\d+/\w+/\d+:\d+:\d+:\d+)';
$pat = '^[LOGTIME] \S+ homepop\[\d+\]: welcome \S+ from (\d+\.\d+\.\d+\.\d+)';

if (defined($PID_pat) && defined($IP_pat) && defined($OK_pat)) {
    eval <<'CODE';
    my (%ip_of, %open);
    $FAIL_pat = '.' if !defined $FAIL_pat;
    foreach ($PID_pat, $IP_pat, $OK_pat, $FAIL_pat, $OUT_pat) {
        s/\[LOGTIME\]/$logtime_pat/g if defined $_;
    }
    sub custom_match
    {
        if (/$PID_pat/o) {
            my ($when, $process) = ($1, $2);
            if (/$IP_pat/o) {
                $ip_of{$process} = $3;
            } else {
                my $address = $ip_of{$process};
                if (defined $address) {
                    if ($open{$process}) {
                        if (/$OUT_pat/o) {
                            delete $open{$process};
                            delete $ip_of{$process};
                            return ($when, $address, -1);
                        }
                    } else {
                        if (/$OK_pat/o) {
                            if (defined $OUT_pat) {
                                $open{$process} = 1;
                                return ($when, $address, 1);
                            }
                            delete $ip_of{$process};
                            return ($when, $address, 0);
                        }
                        if (/$FAIL_pat/o) {
                            delete $ip_of{$process};
                        }
                    }
                }
            }
        }
        ();
    }
CODE
}

1;
