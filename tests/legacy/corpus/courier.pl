use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);

my $ESMTPD = '/usr/lib/courier/sbin/esmtpd';

use Fcntl qw(:DEFAULT :flock);
use DB_File;

$dbfile = '/etc/courier/smtpaccess';
$dbvalue = 'allow,RELAYCLIENT';
$mynet_func = \&mynet_courier;
$tie_func = \&tie_courier;
$sync_func = \&sync_courier;
$flock_func = \&flock_courier;

sub mynet_courier { ''; }

my $handle;

sub tie_courier
{
    $handle = tie %db, 'DB_File', "$dbfile.dat", O_CREAT|O_RDWR, 0666, $DB_HASH
        or die "cannot open $dbfile: $!\n";
    if ($flock) {
        my $number = $handle->fd;
        open(DB_FH, "+<&=$number") or die "cannot open the handle of $dbfile: $!\n";
    }
}

sub flock_courier
{
    my ($lock) = @_;
    flock(DB_FH, $lock ? LOCK_EX : LOCK_UN) or die "cannot lock: $!\n";
}

sub sync_courier
{
    $handle->sync and die "cannot sync $dbfile: $!\n" if $write;
    system "$ESMTPD stop; $ESMTPD start";
}

$pat = '^[LOGTIME] (?:\[|\S+ )(?:pop3|imap|couriertcp)(?:d|d-ssl|login)\]?: LOGIN, user=\S+, ip=\[[:f]*(\d+\.\d+\.\d+\.\d+)\]';
$out_pat = '^[LOGTIME] (?:\[|\S+ )(?:pop3|imap|couriertcp)(?:d|d-ssl|login)\]?: (?:LOGOUT|TIMEOUT|DISCONNECTED), user=\S+, ip=\[[:f]*(\d+\.\d+\.\d+\.\d+)\]';

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
