#!/usr/bin/perl
# acmed of the whole service is killed at each request of an order, before the CA hears of it and
# when its answer is lost, and at each step from a certificate to what is live. It comes
# nevertheless, of no more orders than need be, while the site is served.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca = Pebble->new;

# ---- where it is killed

# One service each, side by side: [request, is its answer lost?], in the order of their coming.
# What comes before the order's URL is known is an attempt of its own in the rate log, which allows
# four in an hour; so these are few for each.
my %points = (
    'the directory'      => [['directory', 0], ['directory', 1]],
    'the first nonce'    => [['nonce', 0], ['nonce', 1]],
    'the account'        => [['account', 0], ['account', 1]],
    'newOrder, unheard'  => [['newOrder', 0]],
    'newOrder, answered' => [['newOrder', 1]],
    'authorizations'     => [['authorization', 0], ['authorization', 1], ['challenge', 0], ['challenge', 1]],
    'proof, unheard'     => [['its proof', 0], ['order', 0]],
    'proof, answered'    => [['its proof', 1], ['order', 1]],
    'finalize'           => [['finalize', 0], ['finalize', 1], ['what became of it', 0], ['what became of it', 1]],
    'the certificate'    => [['certificate', 0], ['certificate', 1]],
);
my %request = (
    'dir' => 'directory', 'nonce-plz' => 'nonce', 'sign-me-up' => 'account', 'order-plz' => 'newOrder',
    'authZ' => 'authorization', 'chalZ' => 'challenge', 'my-order' => 'order',
    'finalize-order' => 'finalize', 'certZ' => 'certificate',
);

# A proxy that stops at these points: it tells by a file, waits for another one, and hangs up.
sub stopping_proxy
{
    my ($id, @points) = @_;
    my ($at, $label, %asked) = (0, '');
    my $here = sub {
        my ($path, $lost) = @_;
        if (!$lost) {    # the first of the two rules sees each request
            $label = $request{ ($path =~ m{^/([\w-]+)})[0] } // '';
            $asked{$label}++;
            $label = 'its proof' if $label eq 'authorization' && $asked{challenge};
            $label = 'what became of it' if $label eq 'order' && $asked{finalize};
        }
        return $points[$at] && $label eq $points[$at][0] && $lost == $points[$at][1];
    };
    my $stop = sub {
        my $n = $at++;
        spew(tmp("$id.held.$n"), '');
        wait_for { -e tmp("$id.go.$n") } 60;
        return 'lost';
    };
    return FaultProxy->new($ca, [sub { $here->($_[0], 0) }, 0, $stop, 1], [sub { $here->($_[0], 1) }, 0, $stop]);
}

# What a CA of which no limits are known has none of; then nothing is written down.
my $limits = 'limits = { failures = 4; orders = 250; same_names = 4; accounts = 3; };';

sub start
{
    my ($what, $n) = @_;
    my $id    = "k$n";
    my $proxy = stopping_proxy($id, @{ $points{$what} });
    my $gate  = acme_gate($ca, directory => $proxy->directory, names => ["a.$id.test", "b.$id.test"],
        address => '127.0.1.' . $n, acme => "preflight = false; $limits");
    return { what => $what, id => $id, proxy => $proxy, gate => $gate, at => 0, killed => 0, wrong => '' };
}

# Kills its acmed; the pid of the one that was killed.
sub kill_acmed
{
    my ($gate, $last) = @_;
    my $pid;
    wait_for { ($pid) = grep { $_ != ($last // 0) } $gate->pids('acmed') } or return 0;
    kill 'KILL', $pid;
    wait_for { !-e "/proc/$pid" };
    return $pid;
}

# If it stands at its next point: kills, and lets the proxy go on.
sub kill_at_point
{
    my ($run) = @_;
    my $at = $run->{at};
    -e tmp("$run->{id}.held.$at") or return;
    $run->{killed} = kill_acmed($run->{gate}, $run->{killed}) or $run->{wrong} = 'no acmed to kill';
    spew(tmp("$run->{id}.go.$at"), '');
    $run->{at}++;
}

# ---- what must hold afterwards

sub logged_of
{
    my ($gate, $kind) = @_;
    my ($file) = glob "$gate->{store}/accounts/*/ledger";
    return scalar(() = slurp($file // '') =~ /^$kind=\d+:[\da-f]{16}$/mg);
}

sub in_order_ok
{
    my ($gate, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is verified($gate, $ca, $name), '', '  and is served';
    is cert_row($gate)->{error}, '', '  nothing is wrong';
    my $state = state_of($gate);
    is "$state->{failures} $state->{next_try} $state->{problem}", '0 0 ', '  no failure is written down';
    is logged_of($gate, 'c'), 1, '  the rate log has one certificate';
    is logged_of($gate, 'o'), $want{orders}, "  of $want{orders} order(s)";
    cmp_ok logged_of($gate, 'f'), '<=', $want{failures}, "  of at most $want{failures} failures of a name";
    cmp_ok logged_of($gate, 'a'), '<=', $want{accounts}, "  of at most $want{accounts} account(s)";
    my ($link, @more) = map { readlink } glob "$gate->{store}/certs/*/current";
    is $link, cert_row($gate)->{generation}, '  the link names what is live';
    my $left;    # a state may be on its way to the disk right now
    wait_for { !($left = join ' ', glob "$gate->{store}/orders/*/{order,key.pem} $gate->{store}/{accounts,orders,certs}/*/.new-*") };
    is $left, '', '  nothing is left over';
}

# ---- the site, meanwhile

sub watch_sites
{
    my @gates = @_;
    my $told = tmp("watched-by-$gates[0]{tls}");
    my $pid = fork // die "fork: $!";
    return sub {
        spew("$told.end", '');
        waitpid $pid, 0;
        return split ' ', slurp($told);
    } if $pid;
    my ($good, $bad) = (0, 0);
    while (!-e "$told.end" && $good + $bad < 100_000) {
        for my $gate (@gates) {
            my $answer = eval { $gate->get('/pas/get') };
            $answer && $answer->{status} == 200 ? $good++ : $bad++;
        }
        sleep 0.2;
    }
    spew($told, "$good $bad");
    POSIX::_exit(0);
}

# ---- at each request

subtest 'at each request of an order' => sub {
    my $n    = 0;
    my @runs = map { start($_, ++$n) } sort keys %points;
    my $site = watch_sites(map { $_->{gate} } @runs);
    wait_for {
        kill_at_point($_) for @runs;
        !grep { $_->{at} < @{ $points{ $_->{what} } } } @runs;
    } 90;
    for my $run (@runs) {
        my ($gate, @points) = ($run->{gate}, @{ $points{ $run->{what} } });
        my $early = grep { $_->[0] =~ /^(?:directory|nonce|account|newOrder)$/ } @points;
        is $run->{at}, scalar @points, "$run->{what}: killed at each of its points" or $gate->tell;
        is $run->{wrong}, '', '  each time another one';
        ok wait_row($gate, sub { $_->{source} eq 'acme' }), '  the certificate comes' or $gate->tell;
        # An order of which acmed never heard the answer is lost to it, and another one is made.
        my $lost = $run->{what} eq 'newOrder, answered' ? 1 : 0;
        my $unheard = $run->{what} eq 'newOrder, unheard' ? 1 : 0;
        is $run->{proxy}->seen(qr{^POST /order-plz}) - $unheard, 1 + $lost, '  newOrder came to the CA ' . (1 + $lost) . ' time(s)';
        in_order_ok($gate, "b.$run->{id}.test", orders => 1 + $lost + $unheard, failures => 2 * $early,
            accounts => 1 + grep { $_->[0] =~ /^(?:directory|nonce|account)$/ } @points);
    }
    my ($good, $bad) = $site->();
    cmp_ok $good, '>', 50, "the sites were asked $good times";
    is $bad, 0, 'and always answered';
    is $ca->said(qr/Added order "/), @runs + 1, 'the CA counts as many orders as certificates, and the one that was lost';
    my $accounts = @runs;
    like slurp($ca->{log}), qr/There are now $accounts accounts in memory/, 'each service has one account';
    unlike slurp($ca->{log}), qr/There are now @{[$accounts + 1]} accounts/, 'and no second one';
    for (@runs) { $_->{gate}->stop_ok; $_->{proxy}->end }
};

# ---- and from there on

# The CA has the certificate ready; it goes out when this is called.
sub held_certificate
{
    my ($n) = @_;
    ok wait_for(sub { -e tmp("live.held.$n") }, 60), 'the certificate is about to be sent';
    return sub { spew(tmp("live.go.$n"), '') };
}

subtest 'from the certificate to what is live' => sub {
    my $orders = $ca->said(qr/Added order "/);
    my $at     = 0;
    my $proxy  = FaultProxy->new($ca, [qr{^/certZ}, 3, sub {
        my $n = $at++;
        spew(tmp("live.held.$n"), '');
        wait_for { -e tmp("live.go.$n") } 60;
        return;
    }]);
    my $gate = acme_gate($ca, directory => $proxy->directory, acme => "preflight = false; $limits");
    my $site = watch_sites($gate);

    # A worker that stands still proves nothing; its clients wait, and are answered later.
    my $go = held_certificate(0);
    my ($worker) = $gate->workers;
    kill 'STOP', $worker;
    $go->();
    ok wait_row($gate, sub { $_->{candidate} == 2 }), 'written, and waiting for its proof';
    my $killed = kill_acmed($gate);
    kill 'CONT', $worker;
    is readlink(glob "$gate->{store}/certs/www.shop.test/current"), 1, 'killed: what was live is live';

    $go = held_certificate(1);
    kill 'STOP', $worker;
    $go->();
    my $candidate;
    ok wait_row($gate, sub { $candidate = $_->{candidate} }), 'another acmed is as far';
    my ($acmed) = grep { $_ != $killed } $gate->pids('acmed');
    kill 'STOP', $acmed;
    kill 'CONT', $worker;
    ok $gate->wait_log(qr/generation $candidate passed its self-test/), 'it is proved, and acmed does not know yet';
    kill 'KILL', $acmed;
    is readlink(glob "$gate->{store}/certs/www.shop.test/current"), 1, 'killed: what was live is live';

    $go = held_certificate(2);
    my %files = map { ($_ => slurp($_)) } glob "$gate->{store}/orders/www.shop.test/{order,key.pem}";
    is keys %files, 2, 'the order is on disk all the time';
    $go->();
    ok wait_row($gate, sub { $_->{source} eq 'acme' }), 'the third one makes it live' or $gate->tell;
    my $generation = cert_row($gate)->{generation};
    in_order_ok($gate, 'www.shop.test', orders => 1, failures => 0, accounts => 1);

    # As if it had been killed between that and forgetting the order.
    $gate->stop_ok;
    for (keys %files) { spew($_, $files{$_}); chown +(stat "$gate->{store}/certs")[4, 5], $_; chmod 0600, $_ }
    $gate->start;
    my ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test');
    like $said, qr/not due yet/, 'a successor has nothing to do' or diag $said;
    is cert_row($gate)->{generation}, $generation, 'what is live stays';
    kill_acmed($gate);
    ok wait_row($gate, sub { $_->{source} eq 'acme' && $_->{generation} == $generation }), 'killed when it is live: it stays';
    is $ca->said(qr/Added order "/) - $orders, 1, 'one order in all';
    my ($good, $bad) = $site->();
    cmp_ok $good, '>', 5, "the site was asked $good times";
    $gate->stop_ok;
    $proxy->end;
};

$ca->end;
done_testing;
