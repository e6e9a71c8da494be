# Evaluates a configuration of the Perl daemon pop-before-smtp as that daemon did, and prints as JSON what it set.
#
# Arguments: convert | replay, the file's name for messages and __FILE__, the descriptor its text is read from, the one
# the answer goes to. `replay` reads a log on standard input instead, and prints number, kind and address of each line
# that the file's own custom_match, or its $pat and $out_pat, takes.
#
# The file is a program: evaluating it runs its code. What the daemon provides is there under the same names, with the
# same values; modules that the file loads and that are not installed here are replaced by their names and constants.
package main;
use strict;
use warnings;
sub run_text { no strict; no warnings; return eval $_[0]; }    # above every lexical of ours: the file sees none
my ($mode, $file, $source, $answer);

BEGIN {
    for my $module (qw(B JSON::PP B::Deparse)) {
        eval "require $module; 1" or do { print STDERR "pbs-fast: this perl lacks $module\n"; exit 97 };
    }
}

# What the daemon declared, so that a file under `use strict` sees it, and its defaults.
use vars qw(%file_tail @mynets %db $dbh $mynet_func $pat $out_pat $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $END_pat
    $logtime_pat $grace $logto $dbfile $dbvalue $write $flock $debug $reprocess $daemon $list $version $dumpconfig
    $tie_func $flock_func $sync_func $add_func $del_func $tail_init_func $tail_getline_func $log_func
    $signal_sendmail $TCPRULES $config_file);
our $output_log;
our $stub_text = '';

{
    package PbsFast::Scalar;
    sub TIESCALAR { my ($class, $value) = @_; return bless { value => $value, set => 0 }, $class }
    sub FETCH { return $_[0]{value} }
    sub STORE { $_[0]{value} = $_[1]; $_[0]{set} = 1 }

    package PbsFast::Hash;
    sub TIEHASH { my ($class, %value) = @_; return bless { value => {%value}, set => {} }, $class }
    sub FETCH { return $_[0]{value}{$_[1]} }
    sub STORE { $_[0]{value}{$_[1]} = $_[2]; $_[0]{set}{$_[1]} = 1 }
    sub EXISTS { return exists $_[0]{value}{$_[1]} }
    sub DELETE { return delete $_[0]{value}{$_[1]} }
    sub CLEAR { $_[0]{value} = {} }
    sub FIRSTKEY { my @all = keys %{$_[0]{value}}; return each %{$_[0]{value}} }
    sub NEXTKEY { return each %{$_[0]{value}} }
    sub SCALAR { return scalar %{$_[0]{value}} }
}

sub mynet_postfix { return 'postfix' }    # our word for what it returned
sub tie_DB { }
sub flock_DB { }
sub sync_DB { }
sub add_DB { }
sub del_DB { }
sub tail_init { }
sub tail_open { }
sub tail_getline { }
sub log_to_stdout { }
sub cleanup_nets { return @_ }
sub sig_handler { }
sub mydie { }
sub set_output_log { ($output_log) = @_; $main::log_func = \&log_to_stdout; return }

my %DEFAULTS = (
    logtime_pat => '(\w\w\w +\d+ \d+:\d+:\d+)',
    pat => '^[LOGTIME] \S+ (?:ipop3s?d|imaps?d)\[\d+\]: (?:Login|Authenticated|Auth|APOP) user=\S+ '
        . 'host=(?:\S+ )?\[(\d+\.\d+\.\d+\.\d+)\]',
    write => 1, flock => 1, debug => 0, reprocess => 0, grace => 1800, dbvalue => 'ok',
    dbfile => '/etc/postfix/pop-before-smtp',
    mynet_func => \&mynet_postfix, tie_func => \&tie_DB, flock_func => \&flock_DB, sync_func => \&sync_DB,
    add_func => \&add_DB, del_func => \&del_DB, tail_init_func => \&tail_init, tail_getline_func => \&tail_getline,
);
my @SCALARS = (sort(keys %DEFAULTS), qw(out_pat PID_pat IP_pat OK_pat FAIL_pat OUT_pat END_pat logto log_func
    signal_sendmail TCPRULES));
my %FILE_TAIL = (name => '/var/log/maillog', maxinterval => 10, interval => 5, adjustafter => 3, resetafter => 30,
    tail => -1);

# Modules that need not be installed here: the first word of their constants, and their functions.
my %STUBS = (
    'BerkeleyDB.pm' => ['DB_'], 'CDB_File.pm' => [], 'File/Tail.pm' => [], 'NDBM_File.pm' => [],
    'GDBM_File.pm' => ['GDBM_'], 'ODBM_File.pm' => [], 'SDBM_File.pm' => [], 'DB_File.pm' => ['R_', 'DB_'],
    'Sys/Syslog.pm' => ['LOG_', qw(openlog syslog closelog setlogmask setlogsock xlate)],
    'Net/Netmask.pm' => ['', 'findNetblock'], 'Net/IP.pm' => [], 'Net/IP/Lite.pm' => [],
    'Date/Parse.pm' => ['', 'str2time', 'strptime'], 'Date/Format.pm' => ['', 'time2str', 'strftime', 'ctime'],
);

sub PbsFast::export {
    my ($module, $into) = @_;
    my ($prefix, @functions) = @{$STUBS{$module}};
    no strict 'refs';
    no warnings;
    *{"${into}::$_"} = sub { return } for @functions;
    if ($module eq 'DB_File.pm') {
        for my $name (qw(DB_HASH DB_BTREE DB_RECNO)) {
            my $info = bless {}, 'DB_File::INFO';
            *{"${into}::$name"} = \$info;
        }
    }
    # Constants by their look in the file: a bareword under `use strict` must be known when it is compiled.
    for my $start (grep { /_$/ } @{$STUBS{$module}}) {
        for my $word ($stub_text =~ /(?<![\$\@%&\w])($start[A-Z][A-Z0-9_]*)\b/g) {
            *{"${into}::$word"} = sub () { 1 } if !defined &{"${into}::$word"};
        }
    }
    return;
}

push @INC, sub {
    my (undef, $module) = @_;
    return if !$STUBS{$module};
    (my $package = $module) =~ s{/}{::}g;
    $package =~ s/\.pm$//;
    my $text = "package $package; sub import { PbsFast::export('$module', scalar caller) } sub AUTOLOAD { return } 1;";
    open my $handle, '<', \$text or return;
    return $handle;
};

($mode, $file, $source, $answer) = @ARGV;
@ARGV = ();
{
    open my $handle, '<&=', $source or die "cannot read the text: $!\n";
    local $/;
    $stub_text = <$handle>;
    open my $out, '>&=', $answer or die "cannot answer: $!\n";
    $answer = $out;
}
# What the daemon itself had loaded.
eval "use $_; 1" or die $@ for 'Fcntl qw(:DEFAULT :flock :seek)', 'POSIX qw(setsid)', 'Getopt::Long', 'DB_File',
    'Net::Netmask', 'Date::Parse', 'Date::Format';

my (%scalars, $tail);
{
    no strict 'refs';
    $scalars{$_} = tie ${"main::$_"}, 'PbsFast::Scalar', $DEFAULTS{$_} for @SCALARS;
    $tail = tie %file_tail, 'PbsFast::Hash', %FILE_TAIL;
}
$config_file = $file;
%ENV = (
    PATH => '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin',
    HOME => '/tmp', SHELL => '/bin/sh', LOGNAME => scalar getpwuid($<),
);
my $path_before = $ENV{PATH};
my %known = map { $_ => 1 } keys %main::;

{
    local $SIG{__WARN__} = sub { };
    local $^W = 0;
    local $INC{$file} = $file;
    (my $name = $file) =~ s/["\n]/?/g;
    open my $own, '<&', \*STDIN or die "cannot keep the log: $!\n";
    open STDIN, '<', '/dev/null' or die "cannot read nothing: $!\n";
    local $@;
    run_text("package main;\n#line 1 \"$name\"\n$stub_text");
    die $@ if $@;
    open STDIN, '<&', $own or die "cannot read the log: $!\n";
}

# The file may have set them.
($,, $\, $/, $") = (undef, undef, "\n", ' ');
if ($mode eq 'replay') {
    replay();
} else {
    print {$answer} JSON::PP->new->canonical->ascii->encode(found()), "\n";
}
close $answer or die "cannot answer: $!\n";
# Without END blocks and destructors of the file.
POSIX::_exit(0);

# The daemon's own decision, line by line.
sub replay {
    my ($login, $logout, $stamp) = map { $scalars{$_}{value} } qw(pat out_pat logtime_pat);
    for ($login, $logout) { s/\[LOGTIME\]/$stamp/g if defined $_ }
    $_ = defined $_ ? qr/$_/ : undef for $login, $logout;
    my $number = 0;
    local $SIG{__WARN__} = sub { };
    select((select($answer), $| = 0)[0]);
    while (defined(my $line = <STDIN>)) {
        $number++;
        local $_ = $line;
        my ($time, $ip, $change);
        if (defined &main::custom_match) {
            if (!eval { ($time, $ip, $change) = &main::custom_match; 1 }) {
                (my $said = $@) =~ s/[\r\n\t]+/ /g;
                print {$answer} "$number\tdied\t$said\n";
                next;
            }
            next if !defined $ip;
        } elsif (defined $logout && (($time, $ip) = $line =~ $logout)) {
            $change = -1;
        } else {
            next if !(($time, $ip) = $line =~ $login);
        }
        next if !defined $time || !defined $ip;
        $ip =~ s/[\r\n\t]+/ /g;
        print {$answer} join("\t", $number, ($change || 0) < 0 ? 'logout' : 'login', $ip), "\n";
    }
    print {$answer} "$number\tend\t\n";
    return;
}

sub found {
    my %out = (set => {}, default => {}, subs => {}, variables => {}, file_tail => $tail->{value},
        file_tail_set => [sort keys %{$tail->{set}}]);
    for my $name (@SCALARS) {
        my $value = plain($scalars{$name}{value});
        $out{$scalars{$name}{set} ? 'set' : 'default'}{$name} = $value if defined $value;
    }
    $out{mynets} = [map { plain($_) } @mynets] if @mynets;
    $out{output_log} = "$output_log" if defined $output_log;
    $out{path} = $ENV{PATH} if ($ENV{PATH} // '') ne $path_before;
    no strict 'refs';
    for my $name (sort keys %main::) {
        next if $name !~ /^\w+$/ || ref \$main::{$name} ne 'GLOB' && !defined &{"main::$name"};
        if (defined &{"main::$name"}) {
            my $code = \&{"main::$name"};
            $out{subs}{$name} = sub_of($code) if is_of_file($code);
        }
        next if $known{$name} && $name !~ /_pats?$/ || ref \$main::{$name} ne 'GLOB' || $scalars{$name};
        my $glob = *{"main::$name"};
        my @values = *{$glob}{ARRAY} ? @{*{$glob}{ARRAY}} : ();
        $out{variables}{"\@$name"} = [map { plain($_) } @values] if @values;
        my $value = plain(${*{$glob}{SCALAR}});
        $out{variables}{"\$$name"} = $value if defined $value;
    }
    my $nets = $scalars{mynet_func}{value};
    if (ref $nets eq 'CODE' && is_of_file($nets)) {
        local $SIG{__WARN__} = sub { };
        my @said = eval { $nets->() };
        if ($@) { ($out{mynet_error} = "$@") =~ s/\s+/ /g }
        else { $out{mynet_result} = join ' ', map { defined $_ ? "$_" : '' } @said }
    }
    return \%out;
}

sub plain {
    my ($value) = @_;
    return undef if !defined $value;
    if (ref $value eq 'CODE') {
        my %said = (function => name_of($value));
        ($said{own}, $said{text}) = (1, sub_of($value)->{text}) if is_of_file($value);
        return \%said;
    }
    return { regexp => "$value" } if ref $value eq 'Regexp';
    return [map { plain($_) } @$value] if ref $value eq 'ARRAY';
    return "$value";
}

sub name_of {
    my ($code) = @_;
    my $gv = B::svref_2object($code)->GV;
    return $gv->can('NAME') ? $gv->NAME : '__ANON__';
}

# Whether a sub was compiled in the file, or one that it read; not ours, not a module's, not a mere name.
sub is_of_file {
    my ($code) = @_;
    my $cv = B::svref_2object($code);
    return 0 if !defined &$code || $cv->XSUB || ${$cv->ROOT} == 0;
    return 0 if $cv->STASH->can('NAME') && $cv->STASH->NAME ne 'main';
    return $cv->START->can('file') && $cv->START->file eq '-e' || ($cv->FILE // '') eq '-e' ? 0 : 1;
}

sub sub_of {
    my ($code) = @_;
    my $cv = B::svref_2object($code);
    my $text = eval { B::Deparse->new('-sCi1')->coderef2text($code) };
    my $line = $cv->START->can('line') ? $cv->START->line : 0;
    return { text => $text // '', captured => captured($code), line => $line };
}

# What a sub of the file has closed over: `my @login = (...); sub custom_match { ... @login ... }`.
sub captured {
    my ($code) = @_;
    my $padlist = B::svref_2object($code)->PADLIST;
    return {} if ref $padlist eq 'B::SPECIAL';
    my ($names, $values) = $padlist->ARRAY;
    my @names = $names->ARRAY;
    my @values = $values->ARRAY;
    my %found;
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
