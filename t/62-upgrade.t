# USR2: the service becomes the program on disk. Nothing is lost, the pid stays, a program that
# cannot go on is refused, and the way back is the same.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

# Both are this build; the second is a byte longer.
my $old = slurp(PasGate::binary());
my $new = "$old\0";
mkdir tmp('bin');
my $program = tmp('bin/pasgate');

# As a package manager does it: a new file in the place of the old one.
sub install
{
    my ($bytes) = @_;
    spew("$program.new", $bytes);
    chmod 0755, "$program.new";
    rename "$program.new", $program or die "rename: $!";
    return;
}

install($old);
$ENV{PASGATE} = $program;
my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 2, backends => \@pas, global => 'stop_timeout = "20s";');
my $pid = $gate->{pid};

sub descriptors { return scalar(my @all = glob "/proc/$pid/fd/*") }
sub workers { return join ' ', sort { $a <=> $b } $gate->pids('worker') }
sub current { my $n = $gate->status->{generation} // 0; return grep { $_->{kind} eq 'worker' && $_->{generation} == $n } @{ $gate->status->{children} } }

# Replaces the program and reloads while requests run; the result of the reload.
sub upgrade
{
    my ($bytes) = @_;
    install($bytes);
    return $gate->cli('reload');
}

my $ws = $gate->connect;
$ws->write($ws->build('GET', '/pas/ws', headers => [['Upgrade', 'websocket'], ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='], ['Sec-WebSocket-Version', 13]]));
is $ws->response('GET')->{status}, 101, 'a WebSocket is open';

sub echoes
{
    my ($text) = @_;
    my $mask = pack 'N', 0x01020304;
    $ws->write("\x81" . chr(0x80 | length $text) . $mask . ($text ^ substr $mask x 32, 0, length $text));
    wait_for { $ws->fill(0.2); length $ws->{buf} >= 2 + length $text || $ws->{eof} };
    my $got = $ws->{buf};
    $ws->{buf} = '';
    return length $got > 2 && substr($got, 2) eq $text;
}
ok echoes('before'), 'and echoes';

my $descriptors = descriptors();
for (['forth', $new], ['and back', $old]) { my ($way, $bytes) = @$_; subtest "the other program, $way" => sub {
    my $before = workers();
    my @load = (PasGate::Load->new($gate, clients => 3), PasGate::Load->new($gate, clients => 2, close => 1),
        PasGate::Load->new($gate, clients => 1, method => 'POST', path => '/pas/upload', body => 'x' x 40000));
    my ($code, $out) = upgrade($bytes);
    is $code, 0, 'the reload is good' or diag $out;
    is -s "/proc/$pid/exe", length $bytes, 'the same process is the other program';
    is scalar(current()), 2, 'with workers of its own';
    isnt workers(), $before, 'which are new';
    cmp_ok descriptors(), '<=', $descriptors + 4, 'no descriptor is left over';    # of the workers that drain
    sleep 1;
    $_->stop_ok for @load;
    ok echoes("after $way"), 'the WebSocket goes on';
} or $gate->tell }

subtest 'programs that cannot go on' => sub {
    my %bad = (
        'says why'        => ["#!/bin/sh\necho 'I am made for another table'\nexit 1\n", qr/I am made for another table/],
        'ends'            => ["#!/bin/sh\nexit 3\n",                                    qr/exit code 3/],
        'is no program'   => ["nothing\n",                                              qr/cannot be executed|exit code/],
    );
    for my $how (sort keys %bad) {
        my $load = PasGate::Load->new($gate, clients => 2);
        my $workers = workers();
        install($bad{$how}[0]);
        my $from = length $gate->log_text;
        kill 'USR2', $pid;
        ok $gate->wait_log(qr/is refused, and the running program goes on: .*$bad{$how}[1]/, undef, $from), "one that $how: refused, with the reason";
        is workers(), $workers, 'the workers are the same';
        $load->stop_ok;
    }
    install($old);
    is +($gate->cli('reload'))[0], 0, 'and then a good one';
} or $gate->tell;

subtest 'children after an upgrade' => sub {
    for my $kind (qw(worker healthd acmed)) {
        my ($victim) = grep { $_->{kind} eq $kind } ($kind eq 'worker' ? current() : @{ $gate->status->{children} });
        kill 'KILL', $victim->{pid};
        ok wait_for { grep { $_->{kind} eq $kind && $_->{state} eq 'running' && $_->{restarts} > $victim->{restarts} } @{ $gate->status->{children} } }, "$kind is started again";
    }
    is +($gate->cli('drain', 'pas1'))[0], 0, 'commands work';
    is $gate->get('/pas/get')->{status}, 200, 'and it serves';
} or $gate->tell;

$gate->stop_ok;
done_testing;
