# The old program's decision about each line of a log, for tests: the file is run as that program ran it, then its
# custom_match, or its $pat and $out_pat, is asked. Shares nothing with what import-config runs.
#
#   perl oracle.pl FILE <LOG    prints LINE TAB login|logout TAB ADDRESS
package main;
use vars qw($pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func);
use Fcntl qw(:DEFAULT :flock :seek);
use POSIX qw(setsid);

my $file = shift @ARGV;
$logtime_pat = '(\w\w\w +\d+ \d+:\d+:\d+)';
$pat = '^[LOGTIME] \S+ (?:ipop3s?d|imaps?d)\[\d+\]: '
    . '(?:Login|Authenticated|Auth|APOP) user=\S+ host=(?:\S+ )?\[(\d+\.\d+\.\d+\.\d+)\]';
($write, $flock, $debug, $reprocess, $grace, $dbvalue) = (1, 1, 0, 0, 1800, 'ok');
$dbfile = '/etc/postfix/pop-before-smtp';
%file_tail = (name => '/var/log/maillog', interval => 5, maxinterval => 10, adjustafter => 3, resetafter => 30, tail => -1);
sub mynet_postfix { '127.0.0.0/8' }
sub tie_DB { } sub flock_DB { } sub sync_DB { } sub add_DB { } sub del_DB { } sub tail_init { } sub tail_getline { }
sub log_to_stdout { }
sub set_output_log { $log_func = \&log_to_stdout }
$mynet_func = \&mynet_postfix;
# Modules that are not installed everywhere.
push @INC, sub {
    my $text = {
        'BerkeleyDB.pm' => 'sub import { no strict; *{"main::DB_CREATE"} = sub () { 1 } }',
        'DB_File.pm' => 'sub import { *main::DB_HASH = \ (my $hash = {}) }',
    }->{$_[1]};
    return if !defined $text && $_[1] !~ m{^(?:CDB_File|NDBM_File|File/Tail)\.pm$};
    (my $package = $_[1]) =~ s{/}{::}g;
    $package =~ s/\.pm$//;
    open my $handle, '<', \(my $whole = "package $package; " . ($text || '') . ' 1;');
    return $handle;
};
do $file or die $@ || "$file is not true\n";
for ($pat, $out_pat) { s/\[LOGTIME\]/$logtime_pat/g if defined $_ }
while (<STDIN>) {
    my ($time, $ip, $change);
    if (defined &custom_match) {
        ($time, $ip, $change) = &custom_match;
        next if !defined $ip;
    } elsif (defined $out_pat && (($time, $ip) = /$out_pat/)) {
        $change = -1;
    } else {
        next if !(($time, $ip) = /$pat/);
    }
    print join("\t", $., ($change || 0) < 0 ? 'logout' : 'login', $ip), "\n";
}
