use vars qw($PID_pat $IP_pat $OK_pat $END_pat);

$PID_pat = '^[LOGTIME] \S+ homepop\[(\d+)\]: ';
$IP_pat = $PID_pat . 'connect from (\d+\.\d+\.\d+\.\d+)$';
$OK_pat = $PID_pat . 'user \S+ is in';

if (defined($PID_pat) && defined($IP_pat) && defined($OK_pat)) {
    eval <<'CODE';
    my %ip_of;
    $END_pat = '.' if !defined $END_pat;
    sub custom_match
    {
        if (/$PID_pat/o) {
            my ($when, $process) = ($1, $2);
            if (/$IP_pat/o) {
                $ip_of{$process} = $3;
            }
            else {
                foreach my $each (keys %ip_of) {
                    if ($process == $each) {
                        my $address = $ip_of{$process};
                        if (/$OK_pat/o) {
                            delete $ip_of{$process};
                            return ($when, $address);
                        }
                        if (/$END_pat/o) {
                            delete $ip_of{$process};
                        }
                        last;
                    }
                }
            }
        }
        ();
    }
CODE
}

1;
