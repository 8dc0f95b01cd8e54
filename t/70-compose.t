#!/usr/bin/perl
# 70-compose.t: docker-compose.yml from a clean clone, with the stand-in and with Tomcat. The
# first `up` works; under 200 requests a second an instance is stopped, killed, recreated under
# another address, and the proxy restarted, without a failed request where none is promised.
use strict;
use warnings;
use lib 't/lib';
use Compose;
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

use constant {
    RATE     => 200,    # requests per second
    INTERVAL => 5,      # seconds: pools.check.interval, which docker/pasgate.conf leaves as it is
};

my $it = Compose->new('t');
my ($https, $http) = free_ports(2);
my $load_pid;
my $owner = $$;

@ENV{qw(DOMAIN EMAIL HTTPS_PORT HTTP_PORT)} = ('localhost', '', $https, $http);

sub wait_state
{
    my ($name, $want, $seconds) = @_;
    my $row = $it->wait_state($name, $want, $seconds);
    ok($row, "status: $name is $want") or diag(encode_json($it->backend($name)));
    return $row // {};
}

sub get
{
    my ($path) = @_;
    my ($rc, $out) = run_cmd(qw(curl -sk -m 10 -w), "\n%{http_code}", "https://127.0.0.1:$https$path");
    my ($body, $code) = $out =~ /\A(.*)\n(\d+)\z/s;
    return ($code // 0, eval { decode_json($body // '') } // {});
}

# Instances that answer $n requests.
sub instances
{
    my ($n) = @_;
    my %seen;
    for (1 .. $n) {
        my ($code, $json) = get('/pas/get');
        $seen{ $code == 200 ? $json->{instance}{id} // '?' : $code }++;
    }
    return join ' ', sort keys %seen;
}

# ---- load

my $openloop = tool('t/tools/openloop');
if (!-x $openloop) {
    $openloop = tmp('openloop');
    my ($rc, $out) = run_cmd($ENV{CC} || 'cc', '-O2', '-o', $openloop, 't/tools/openloop.c',
        '-lssl', '-lcrypto');
    BAIL_OUT("openloop does not compile: $out") if $rc;
}

sub load_start
{
    my $file = tmp('load.json');
    unlink $file;
    $load_pid = PasGate::spawn(tmp('load.log'), $openloop, '-r', RATE, '-d', 0, '-c', 2048, '-s',
        $file, "https://127.0.0.1:$https/pas/get");
    ok(wait_for(sub { load()->{ok} }), 'load runs');
    return;
}

# The summary so far.
sub load { return eval { decode_json(slurp(tmp('load.json'))) } // {} }

# Waits for $n more answers, of one instance if it is given. False: they did not come.
sub load_passes
{
    my ($n, $instance, $seconds) = @_;
    my $now  = sub { my $l = load(); ($instance ? $l->{instances}{$instance} : $l->{ok}) // 0 };
    my $from = $now->();
    return wait_for(sub { $now->() >= $from + $n }, $seconds);
}

# What pasgate said, without the access log.
sub verdicts { return grep { !/"method"/ } split /\n/, ($it->compose('logs', '-t', 'pasgate'))[1] }

sub load_end
{
    my ($what) = @_;
    my $pid = $load_pid // return;
    kill 'TERM', $pid;
    PasGate::reap($pid, 30);
    undef $load_pid;
    my $l = load();
    ok($l->{ok} && $l->{failed} == 0, "$what: no failed request of " . ($l->{requests} // 0))
      or diag(join "\n", slurp(tmp('load.log')), @{ $l->{first_errors} // [] }, verdicts());
    note("$what: ", slurp(tmp('load.json')));
    return;
}

# ---- drills

# $how ends the instance while load runs; it is seen, told, and back again.
sub drill_down_and_up
{
    my ($name, $how) = @_;
    my $id = $it->container($name);

    load_start();
    load_passes(RATE, $name);
    my ($rc, $out) = $it->docker($how, $id);
    ok($rc == 0, "docker $how $name") or diag($out);
    my $row    = wait_state($name, 'down', 60);
    my $reason = $row->{reason} // (ref $row->{health} && $row->{health}{reason}) // '';
    like($reason, qr/\w/, "with a reason: $reason");
    ok(load_passes(RATE), 'the others serve on');

    $it->docker('start', $id);
    ok(wait_for(sub { !($it->docker('exec', $id, 'ctl', 'mode=ok'))[0] }, 120), "$name is started");
    my $started = time;
    ok(load_passes(1, $name, 60), "$name serves again");
    my $took = time - $started;
    # the summary that we look at is written once a second
    cmp_ok($took, '<=', 2 * INTERVAL + 1, sprintf 'within two check intervals (%.1f s)', $took);
    load_passes(RATE, $name);
    load_end("docker $how");
    return;
}

# The ping tells of a fault while requests still work, as when a database is gone.
sub drill_ping_fails
{
    my ($name) = @_;
    my $id = $it->container($name);

    load_start();
    load_passes(RATE, $name);
    is(($it->docker('exec', $id, 'ctl', 'mode=pingfail'))[0], 0, "the ping of $name fails");
    my $row = wait_state($name, 'down', 60);
    like(encode_json($row), qr/database is not connected/, 'with what the ping said');
    is(($it->docker('exec', $id, 'ctl', 'mode=ok'))[0], 0, 'it is well again');
    my $healed = time;
    ok(load_passes(1, $name, 60), "$name serves again");
    cmp_ok(time - $healed, '<=', 2 * INTERVAL + 1, 'within two check intervals');
    load_end('ping');
    return;
}

sub address
{
    my ($name) = @_;
    my (undef, $out) = $it->docker('inspect', '-f',
        '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}', $it->container($name));
    return $out =~ /([\d.]+)/ ? $1 : '';
}

sub drill_recreate
{
    my ($name) = @_;
    my $before = address($name);

    load_start();
    $it->ok("$name is removed", 'rm', '-sf', $name);
    # holds the address, and listens on none of it
    my ($rc, $out) = $it->docker('run', '-d', '--name', "$it->{project}-holder", '--network',
        "$it->{project}_inside", '--ip', $before, 'pas-httpbin', 'pas-httpbin', '-b', '127.0.0.1');
    # --ip wants a network with a configured subnet; without, the lowest free one is given
    if ($rc) {
        $it->docker('rm', '-f', "$it->{project}-holder");
        ($rc, $out) = $it->docker('run', '-d', '--name', "$it->{project}-holder", '--network',
            "$it->{project}_inside", 'pas-httpbin', 'pas-httpbin', '-b', '127.0.0.1');
    }
    ok($rc == 0, 'another container takes its address') or diag($out);
    $it->ok("$name is created anew", 'up', '-d', '--no-deps', $name);
    delete $it->{id}{$name};    # another container
    isnt(address($name), $before, "$name has another address");
    ok(load_passes(RATE / 10, $name, 90), "$name is found at it");
    load_end('recreated');
    $it->docker('rm', '-f', "$it->{project}-holder");
    return;
}

sub check_container
{
    my $id = $it->container('pasgate');
    my (undef, $proc) = $it->docker('exec', $id, 'cat', '/proc/1/status');
    like($proc, qr/^Name:\s*pasgate/m, 'pasgate is PID 1');
    unlike($proc, qr/^Uid:.*\b0\b/m, 'without root');
    my $health = sub { ($it->docker('inspect', '-f', '{{.State.Health.Status}}', $id))[1] };
    ok(wait_for(sub { $health->() =~ /^healthy/ }, 60), 'docker calls it healthy');
    my (undef, $inside) = $it->docker('network', 'inspect', '-f', '{{.Internal}}', "$it->{project}_inside");
    like($inside, qr/true/, 'the instances are on an internal network');
    my (undef, $head) = run_cmd(qw(curl -si -m 10), "http://127.0.0.1:$http/pas/get");
    like($head, qr{^HTTP/1.1 30[18].*^Location: https://127\.0\.0\.1:$https/pas/get\r}ms,
        'http sends to https, at the port outside');
    return;
}

sub up
{
    my ($image) = @_;
    $ENV{PAS_IMAGE} = $image;
    $it->ok("$image builds", 'build', 'pas1') or return 0;
    my $began = time;
    $it->ok('up', 'up', '-d') or return 0;
    note(sprintf 'up took %.0f s', time - $began);
    my $all = wait_for(sub { instances(9) eq 'pas1 pas2 pas3' }, 120);
    ok($all, 'the first up works: three instances answer over https')
      or diag(($it->compose('logs', '--tail=40'))[1]);
    return $all;
}

END {
    if ($owner && $owner == $$) {
        my $rc = $?;
        kill 'KILL', $load_pid if $load_pid;
        $it->docker('rm', '-f', "$it->{project}-holder") if $it;
        $? = $rc;
    }
}

$it->ok('compose takes the file', 'config', '-q');
{
    local $ENV{PAS_IMAGE} = 'registry.example/team/pas:12.8';
    $it->ok('and any image of PAS', 'config', '-q');
}

subtest 'stand-ins' => sub {
    up('pas-httpbin') or return;
    check_container();
    is(instances(30), 'pas1 pas2 pas3', 'balanced');
    drill_down_and_up('pas2', 'stop');
    drill_down_and_up('pas3', 'kill');
    drill_ping_fails('pas1');
    drill_recreate('pas1');

    $it->ok('restart pasgate', 'restart', '-t', '40', 'pasgate');
    ok(wait_for(sub { instances(9) eq 'pas1 pas2 pas3' }, 60), 'it serves again');
    $it->down;
};

subtest 'Tomcat' => sub {
    up('pas-tomcat') or return;
    drill_down_and_up('pas2', 'stop');
    drill_down_and_up('pas1', 'kill');
    drill_ping_fails('pas3');
    $it->down;
};

done_testing;
