# Admin overrides that could not be read at a start: they come into force when they can be read,
# also beside an operator's new one, for backends that a reload has removed, and with the whole
# time of a drain.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 5;
my $gate = PasGate->new(backends => \@pas, pool => 'sticky = "none"; drain_timeout = "60s";');

# Of each backend, also of one that was removed: "ready", "maint", "draining", "empty" or "cut".
sub admin { return join ' ', map { $_->{drain} eq 'none' ? $_->{admin} : $_->{drain} } @{ $gate->status->{backends} // [] } }

$gate->cli('drain', 'pas1');
my ($file) = wait_for { (grep { -e } map { "$gate->{dir}/$_/wishes" } 'store-state', 'store/state')[0] };
ok $file, 'an override is stored';
$gate->stop_ok;

# An hour ago: two drains, one of which has ended, and two others.
my $since = (time - 3600) * 1000;
my $text  = "pasgate wishes 1\n" . join '', map { "$_\tuid 7\t$since\tfor a test\n" } "pas1\tdrain", "pas2\tcut", "pas3\tmaint", "pas4\tmaint";
spew($file, $text);
my $broken = spew(tmp('broken'), '');
{
    my $library = tool('t/preload/eio.so');
    $library = "$ENV{PWD}/$library" if $library !~ m{^/};
    local @ENV{qw(TEST_EIO TEST_EIO_WHILE LD_PRELOAD)} = ('wishes', $broken, $library);
    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} || (), 'verify_asan_link_order=0';
    local $gate->{no_probe} = 1;
    $gate->start;
}
my $from = length $gate->log_text;
ok $gate->wait_health("pas$_", 'up'), "pas$_ is up" for 1 .. 5;
is admin(), 'ready ready ready ready ready', 'none is in force';
$gate->write_config(backends => [@pas[0, 1, 2, 4]]);
is +($gate->cli('reload'))[0], 0, 'pas4 is removed';

my ($code, $out) = $gate->cli('ready', 'pas3');
is $code, 0, 'an override, while the file cannot be read';
like $out, qr/this cannot be stored and is lost if the service restarts/, 'which says that it is not stored';
is slurp($file), $text, 'the file is not touched';
my @posts = map { my $c = $gate->connect(plain => 1); $c->write($c->build('POST', '/pas/delay?ms=3000', body => 'x', close => 1)); $c } 1 .. 12;
ok wait_for { !grep { $_->{name} =~ /[12]/ && !$_->{in_flight} } @{ $gate->status->{backends} } }, 'requests run at pas1 and pas2';

unlink $broken or die $!;
($code, $out) = $gate->cli('maint', 'pas5');
is $code, 0, 'another, when it can be';
unlike $out, qr/cannot be stored/, 'is stored';
is admin(), 'draining draining ready maint maint', 'what was stored is in force before it, but the operator goes before that';
my %at;
$at{ $_->{status} }++ for map { $_->response('POST') } @posts;
is_deeply \%at, { 200 => 12 }, 'the requests are not cut';
my ($told) = $gate->log_text =~ /(drain_timeout: .* cut)/;
is $told, undef, 'nothing is: the drains have begun just now';
ok wait_for { admin() eq 'empty empty ready maint maint' }, 'they end when they are empty';
ok wait_for { slurp($file) =~ /^pas2\tdrained/m }, 'which is stored';
my %stored = map { /^(\w+)\t(\w+)\t.*\t(\d+)\t/ ? ($1 => [$2, $3]) : () } split /\n/, slurp($file);
is join(' ', map { "$_ $stored{$_}[0]" } sort keys %stored), 'pas1 drained pas2 drained pas4 maint pas5 maint', 'all of them are stored';
cmp_ok $stored{pas1}[1], '>', $since, 'a drain with its new begin';
ok !-e "$file.bad", 'nothing was discarded';
$gate->write_config(backends => \@pas);
is +($gate->cli('reload'))[0], 0, 'pas4 is back';
is admin(), 'empty empty ready maint maint', 'with its override';
$told = () = substr($gate->log_text, $from) =~ /cannot be read/g;
is $told, 0, 'the log said once that they could not be read';
$gate->stop_ok;
done_testing;
