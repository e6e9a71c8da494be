use strict;
use vars qw(
    $pat $out_pat $write $flock $debug $reprocess $grace $logto %file_tail @mynets %db $dbfile $dbvalue $logtime_pat
    $mynet_func $tie_func $flock_func $add_func $del_func $sync_func $tail_init_func $tail_getline_func $log_func
    $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
);

$dbfile = '/var/lib/ip-blocking';
$flock = 0;
$grace = 3 * 60 * 60;
$file_tail{'name'} = '/var/log/syslog';
$pat = '^(... .. ..:..:..).+Failed password.+from\s+(\d+\.\d+\.\d+\.\d+)';
$mynet_func = \&mynet_block;
$add_func = \&add_block;
$del_func = \&del_block;
sub mynet_block { '127.0.0.0/8 192.168.1.1/24'; }
sub add_block { my ($ip) = @_; $db{$ip} = $dbvalue; system('iptables', '-A', 'INPUT', '-s', $ip, '-j', 'REJECT'); }
sub del_block { my ($ip) = @_; system('iptables', '-D', 'INPUT', '-s', $ip, '-j', 'REJECT'); delete $db{$ip}; }
1;
