# Commands and signals while the service starts, tries a new generation, stops, or has ended: they
# end soon, and what they print is true.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::INET;
use POSIX qw(_exit);
use Test::More;
use Time::HiRes qw(time);

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
my @some = map { { name => $_->{id}, port => $_->{port}, restart => '{ command = [ "/bin/true" ]; }' } } @pas;
my $halt = tmp('halt');
my $gate = PasGate->new(workers => 2, backends => [@some[0, 1]], global => 'stop_timeout = "20s";', start => 0);

# Runs a command in the background; its result comes later: (exit code, output).
sub background
{
    my @words = @_;
    my $file  = tmp("out-$words[0]");
    my $pid   = fork // die;
    if (!$pid) {
        my ($code, $out) = $gate->cli(@words);
        spew($file, $out);
        _exit($code);
    }
    return sub { waitpid $pid, 0; return ($? >> 8, slurp($file)) };
}

subtest 'starting' => sub {
    my $pid = fork // die;
    if (!$pid) {
        my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $gate->{plain}) or die;
        spew(tmp('taken'), '');
        # The service waits for this address now, and can be found.
        my $supervisor = wait_for { slurp($gate->{pidfile}) } or die;
        kill $_, $supervisor + 0 for qw(USR1 HUP);
        _exit(0);
    }
    ok wait_for { -e tmp('taken') }, 'an address is in use';
    my $library = tool('t/preload/halt.so');
    $library = "$ENV{PWD}/$library" if $library !~ m{^/};
    local @ENV{qw(TEST_HALT LD_PRELOAD)} = ($halt, $library);
    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} || (), 'verify_asan_link_order=0';
    $gate->start;
    waitpid $pid, 0;
    ok $gate->wait_log(qr/log files reopened/), 'a signal to a service that starts waits until it can be obeyed';
    ok $gate->wait_log(qr/generation 2 is live/), 'so does another';
};

subtest 'a new generation on trial' => sub {
    spew($halt, '');
    $gate->write_config(backends => \@some);
    my $result = background('reload');
    ok $gate->wait_log(qr/trying generation 3/), 'its workers are not ready yet';
    for my $words ('drain pas3', 'restart pas3', 'maint 3') {
        my $began = time;
        my ($code, $out) = $gate->cli(split / /, $words);
        is $code, 1, "$words: exit code 1";
        like $out, qr/^pasgate: backend pas3 is new in a reload that is in progress: try again when that has ended$/, 'says why';
        cmp_ok time - $began, '<', 10, 'at once';
    }
    is +($gate->cli('drain', 'pas1'))[0], 0, 'an older backend can be drained';
    unlink $halt or die $!;
    my ($code, $out) = $result->();
    is $code, 0, 'the reload goes on' or diag $out;
    is +($gate->cli('drain', 'pas3'))[0], 0, 'then the new one can be drained';
    $gate->cli('ready', $_) for qw(pas1 pas3);
};

subtest 'stopping' => sub {
    my $c = $gate->connect(plain => 1);
    $c->write($c->build('POST', '/pas/delay?ms=60000', body => 'x', close => 1));
    my $busy = wait_for { (map { $_->{in_flight} ? $_->{name} : () } @{ $gate->status->{backends} // [] })[0] };
    ok $busy, 'a request runs';
    my $result = background('drain', $busy, '--wait');
    ok wait_for { grep { $_->{drain} eq 'draining' } @{ $gate->status->{backends} // [] } }, 'its backend is drained';
    $gate->signal('TERM');
    ok wait_for { $gate->status->{stopping} }, 'the service stops';
    for (['reload', 'nothing is reloaded'], ['cert renew 1', 'it takes no request about certificates any more']) {
        my ($words, $what) = @$_;
        my ($code, $out) = $gate->cli(split / /, $words);
        is $code, 1, "$words: exit code 1";
        is $out, "pasgate: the service is stopping: $what\n", 'says why';
    }
    like +($gate->cli('restart', 'pas2'))[1], qr/pas2 is not restarted: the service is stopping/, 'restart too';
    is +($gate->cli('maint', 'pas3'))[0], 0, 'an override is taken: it outlives the service';
    # Nobody reaps it for now: still it has ended.
    kill 'INT', $gate->{pid};
    my ($code, $out) = $result->();
    is $code, 1, 'drain --wait: exit code 1';
    like $out, qr/^pasgate: the service ended meanwhile$/m, 'says why';
    $gate->stop_ok;
};
done_testing;
