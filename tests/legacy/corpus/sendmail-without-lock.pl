use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);

use Fcntl qw(:DEFAULT :flock :seek);
use DB_File;

$dbfile = '/etc/mail/popauth';
$mynet_func = \&mynet_sendmail;
$tie_func = \&tie_sendmail;
$sync_func = \&sync_sendmail;
$flock_func = \&flock_sendmail;

$flock = 0;
my $signal_sendmail = 0;
my ($pid_file, $sendmail_pid);

if ($signal_sendmail) {
    $pid_file = '/var/run/sendmail.pid';
    open(PID, $pid_file) || die "cannot open $pid_file: $!";
    $_ = <PID>;
    ($sendmail_pid) = /(\d+)/;
    close PID;
}

sub mynet_sendmail
{
    # ours
    '127.0.0.0/8 198.51.100.1/24';
}

my $handle;

sub tie_sendmail
{
    $handle = tie %db, 'DB_File', "$dbfile.db", O_CREAT|O_RDWR, 0666, $DB_HASH
        or die "cannot open $dbfile: $!\n";
    if ($flock) {
        my $number = $handle->fd;
        open(DB_FH, "+<&=$number") or die "cannot open the handle of $dbfile: $!\n";
    }
}

sub sync_sendmail
{
    $handle->sync and die "cannot sync $dbfile: $!\n";
    while ($signal_sendmail) {
        last if kill(1, $sendmail_pid);
        open(PID, $pid_file) || die "cannot open $pid_file: $!";
        $_ = <PID>;
        my ($new) = /(\d+)/;
        close PID;
        die "cannot signal\n" if $new == $sendmail_pid;
        $sendmail_pid = $new;
    }
}

sub fcntl_sendmail
{
    my ($lock) = @_;
    my $what = pack('s s l l i', $lock ? F_WRLCK : F_UNLCK, SEEK_SET, 0, 0, 0);
    fcntl(DB_FH, F_SETLKW, $what) or die "cannot lock: $!\n";
}
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
