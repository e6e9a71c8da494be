# Evaluates a configuration of the Perl daemon pop-before-smtp as that daemon did, and prints what it set as JSON.
#
# The file is a program: evaluating it runs its code. What the daemon provides is there under the same names (variables,
# functions to be referred to); modules that the file loads but that need not be installed here are taken as loaded.
use strict;
use warnings;
use B ();
use JSON::PP ();

my ($file) = @ARGV;

# Declared for the whole package, so that a file under `use strict` sees them as the daemon showed them.
use vars qw(%file_tail @mynets $mynet_func $pat $out_pat $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $logtime_pat
    $grace $logto $dbfile $dbvalue $write $flock $debug $reprocess $daemon $list $version $dumpconfig
    $tie_func $flock_func $sync_func $add_func $del_func $tail_init_func $tail_getline_func $log_func
    $signal_sendmail $TCPRULES %db $dbh $config_file);
# Each keeps what the file does not set, so that what it sets can be told from what it leaves.
my $UNSET = "\0unset";
my @scalars = qw(mynet_func pat out_pat PID_pat IP_pat OK_pat FAIL_pat OUT_pat logtime_pat grace logto dbfile dbvalue write
    flock debug reprocess tie_func flock_func sync_func add_func del_func tail_init_func tail_getline_func log_func
    signal_sendmail TCPRULES);
{
    no strict 'refs';
    ${"main::$_"} = $UNSET for @scalars;
    my @functions = qw(mynet_postfix mynet_tcprules mynet_courier mynet_sendmail tie_DB tie_NDBM tie_BerkeleyDB
        tie_tcprules tie_courier tie_sendmail tie_CDB flock_DB flock_courier flock_sendmail fcntl_sendmail sync_DB
        sync_BerkeleyDB sync_tcprules sync_courier sync_sendmail sync_CDB add_DB del_DB add_tcprules del_tcprules tail_init
        tail_getline init_FileTail getline_FileTail getline_stdin log_it syslog openlog closelog setlogsock);
    for my $name (@functions) {
        *{"main::$name"} = eval "package main; sub $name { } \\&$name";
    }
}
for my $module (qw(BerkeleyDB CDB_File File/Tail NDBM_File DB_File Sys/Syslog Net/Netmask Net/IP/Lite Date/Parse
    Date/Format Tie/Hash)) {
    $INC{"$module.pm"} ||= $file;
}
$logtime_pat = '(\w\w\w +\d+ \d+:\d+:\d+)';
my $default_logtime = $logtime_pat;
my %stubs = map { $_ => 1 } keys %main::;

# What the file and its children print is not our answer.
open my $answer, '>&', \*STDOUT or die "cannot answer: $!\n";
open STDOUT, '>&', \*STDERR or die "cannot answer: $!\n";
{
    local $SIG{__WARN__} = sub { };
    no warnings;
    no strict;
    # As `do FILE` runs it: its own lexicals, line numbers of the file, no view of ours.
    my $result = do($file =~ m{^\.?\.?/} ? $file : "./$file");
    die $@ if $@;
}

sub plain {
    my ($value) = @_;
    return undef if !defined $value;
    return { function => name_of($value) } if ref $value eq 'CODE';
    return { regexp => "$value" } if ref $value eq 'Regexp';
    return [map { plain($_) } @$value] if ref $value eq 'ARRAY';
    return "$value";
}

sub name_of {
    my ($code) = @_;
    my $gv = B::svref_2object($code)->GV;
    return $gv->can('NAME') ? $gv->NAME : '__ANON__';
}

# Lists of patterns that a sub of the file has closed over: `my @login = (...); sub custom_match { ... @login ... }`.
sub captured {
    my ($code) = @_;
    my $padlist = B::svref_2object($code)->PADLIST;
    return {} if ref $padlist eq 'B::SPECIAL';
    my ($names, $values) = $padlist->ARRAY;
    my (@names, %found);
    @names = $names->ARRAY;
    my @values = $values->ARRAY;
    for my $index (0 .. $#names) {
        my $name = $names[$index];
        next if !$name || ref $name eq 'B::SPECIAL' || !$name->can('PV');
        my $text = $name->PV;
        next if !defined $text || $text !~ /^[\$\@]\w/ || !ref $values[$index] || !$values[$index]->can('object_2svref');
        my $reference = $values[$index]->object_2svref;
        if (ref $reference eq 'ARRAY') {
            $found{$text} = plain($reference);
        } elsif (ref $reference eq 'SCALAR' || ref $reference eq 'REF' || ref $reference eq 'Regexp') {
            $found{$text} = plain($$reference);
        }
    }
    return \%found;
}

my %out;
{
    no strict 'refs';
    for my $name (@scalars) {
        my $value = ${"main::$name"};
        next if defined $value && !ref $value && $value eq $UNSET;
        next if $name eq 'logtime_pat' && $value eq $default_logtime;
        $out{$name} = plain($value);
    }
}
$out{file_tail} = { map { $_ => plain($file_tail{$_}) } keys %file_tail } if %file_tail;
$out{mynets} = [map { plain($_) } @mynets] if @mynets;
if (defined &main::custom_match) {
    $out{custom_match} = captured(\&main::custom_match);
    no strict 'refs';
    # Package arrays of the file that hold patterns.
    for my $name (keys %main::) {
        next if $stubs{$name} || $name !~ /^\w+$/ || !defined *{"main::$name"}{ARRAY};
        my @values = @{"main::$name"};
        $out{custom_match}{"\@$name"} = plain(\@values) if @values;
    }
}
print {$answer} JSON::PP->new->canonical->ascii->encode(\%out), "\n";
