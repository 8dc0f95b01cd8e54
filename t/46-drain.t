# Drain: what runs and who has a session stays, new sessions go elsewhere; it ends when nothing
# is left, or at drain_timeout by a cut, and outlives reloads, crashes and restarts.
use strict;
use warnings;
use List::Util qw(max);
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;

sub gate
{
    my ($pool, %opt) = @_;
    my $gate = PasGate->new(workers => 2, backends => \@pas, pool => $pool, %opt);
    ok $gate->wait_health($_, 'up'), "$_ is up" for map { $_->{id} // $_->{name} } @{ $gate->{backends} };
    return $gate;
}

sub row
{
    my ($gate, $name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] };
    return $row // {};
}

# One request of a session that was opened at an instance; its instance.
sub visit
{
    my ($gate, $s) = @_;
    my $r = $gate->get('/pas/session', plain => 1, headers => $s->{cookie} ? [['Cookie', $s->{cookie}]] : []);
    my ($fresh) = ($r->{h}{'set-cookie'} // '') =~ /(JSESSIONID=[^;]*)/;
    $s->{cookie} = $fresh if $fresh;
    $s->{seen} = time;
    return $s->{at} = $r->{h}{'x-instance'} // "status $r->{status}";
}

sub session_at
{
    my ($gate, $name) = @_;
    for (1 .. 20) {
        my $s = {};
        return $s if visit($gate, $s) eq $name;
    }
    die "no session at $name\n";
}

# Sends a request of that session on a connection of its own; ->response comes later.
sub begin
{
    my ($gate, $s, $method, $target, %opt) = @_;
    my $c = $gate->connect(plain => 1);
    $c->write($c->build($method, $target, headers => [['Cookie', $s->{cookie}]], close => 1, %opt));
    return $c;
}

my $waits = 0;

# `pasgate drain pas2 --wait` in the background: { pid, log, begun }.
sub drain_wait
{
    my ($gate, $name) = @_;
    my $log = "$gate->{dir}/wait" . ++$waits;
    my $pid = PasGate::spawn($log, PasGate::binary(), 'drain', '-c', $gate->{conf}, $name // 'pas2', '--wait');
    return { pid => $pid, log => $log, begun => time };
}

# Its exit code.
sub ended
{
    my ($wait) = @_;
    my $status = PasGate::reap($wait->{pid}, PasGate::DEADLINE);
    return defined $status ? $status >> 8 : 'it still runs';
}

sub pas2_serves { my ($gate) = @_; return wait_for { $gate->get('/pas/get')->{h}{'x-instance'} eq 'pas2' } }

subtest 'until nothing is left' => sub {
    my $gate = gate('session_idle = "1s"; drain_timeout = "60s";');
    my ($s, $other) = map { session_at($gate, 'pas2') } 1 .. 2;
    my $post = begin($gate, $s, 'POST', '/pas/delay?ms=1500', body => 'x');
    my $load = begin($gate, $other, 'GET', '/pas/sse?n=20&ms=100');
    wait_for { row($gate, 'pas2')->{in_flight} == 2 };
    is row($gate, 'pas2')->{sessions}, 2, 'two sessions are live there';

    my $wait = drain_wait($gate);
    ok +(wait_for { row($gate, 'pas2')->{drain} eq 'draining' }), 'the drain goes on';
    like row($gate, 'pas2')->{progress}, qr/^draining: \d in flight, \d sessions?, \d\d s left$/, 'and says how far';
    my (@own, %new, $until);
    $until = time + 2.5;
    while (time < $until) {
        push @own, visit($gate, $s);
        $new{ visit($gate, {}) }++;
        sleep 0.1;
    }
    is scalar(grep { $_ ne 'pas2' } @own), 0, 'a session stays, ' . @own . ' times';
    is_deeply [keys %new], ['pas1'], 'new ones go elsewhere';
    my $r = $post->response('POST');
    is "$r->{status} $r->{h}{'x-instance'}", '200 pas2', 'the POST ends where it was';
    $r = $load->response('GET');
    ok $r->{complete} && $r->{h}{'x-instance'} eq 'pas2', 'so does the download, whole';

    is ended($wait), 0, 'exit code 0: it is empty';
    cmp_ok time, '>=', $s->{seen} + 1, 'not before session_idle is over';
    my @lines = split /\n/, slurp($wait->{log});
    is shift @lines, 'backend 2 pas2: drain', 'it said that it began';
    like pop @lines, qr/^backend 2 pas2: drained: empty after \d+ s$/, 'and how it ended';
    ok @lines > 0 && @lines <= 8, 'and between these, how far it was';
    is_deeply [grep { !/^pas2: draining: \d in flight, \d sessions?, \d+ s left$/ } @lines], [], 'in lines for people';
    my $row = row($gate, 'pas2');
    is "$row->{drain} $row->{state} $row->{idle}", 'empty drained 0', 'the status has it; no connection is kept';
    like(($gate->cli('status'))[1], qr/\bdrained: empty\b/, 'for people too');
    like(($gate->cli('why', 'pas2'))[1], qr/supervisor +drain +-> drained +drained: empty after \d/, 'and the history');
    ok $gate->wait_log(qr/backend 2 pas2: drained: empty/), 'and the log';
    is visit($gate, $s), 'pas1', 'who comes back after that gets another instance';

    my ($code, $said) = $gate->cli('ready', 'pas2');
    is $code, 0, 'ready';
    ok pas2_serves($gate), 'and it serves again';
    ($code, $said) = $gate->cli('drain', 'pas2');
    like $said, qr/--wait/, 'without --wait it says where to look';
    ok +(wait_for { row($gate, 'pas2')->{drain} eq 'empty' }), 'a second drain ends, too';
    is ended(drain_wait($gate)), 0, 'to wait for what has ended is quick';
    is((($gate->cli('drain', 'nosuch', '--wait'))[0]), 2, 'an unknown one');
    is((($gate->cli('ready', 'pas2', '--wait'))[0]), 2, 'nothing else waits');
    $gate->stop_ok;
};

subtest 'cut at drain_timeout' => sub {
    my $gate = gate('session_idle = "60s"; drain_timeout = "1s";');
    my $s = session_at($gate, 'pas2');
    my $get = begin($gate, $s, 'GET', '/pas/delay?ms=2500');
    my $post = begin($gate, $s, 'POST', '/pas/delay?ms=9000', body => 'x');
    my $load = begin($gate, $s, 'GET', '/pas/sse?n=90&ms=100');
    wait_for { row($gate, 'pas2')->{in_flight} == 3 };
    my $wait = drain_wait($gate);
    is ended($wait), 3, 'exit code 3: it was cut';
    like slurp($wait->{log}), qr/backend 2 pas2: drain_timeout: 3 requests and 1 session cut\n\z/, 'what was cut';
    my $r = $post->response('POST');
    is $r->{status}, 503, 'a POST ends';
    like $r->{h}{'proxy-status'}, qr/destination_unavailable; details="drain_timeout"/, 'and is told why';
    $r = $load->response('GET');
    ok $r->{status} == 200 && !$r->{complete}, 'a download is cut';
    $r = $get->response('GET');
    is "$r->{status} $r->{h}{'x-instance'}", '200 pas1', 'a safe one without an answer is moved';
    is visit($gate, $s), 'pas1', 'the session goes on elsewhere';
    ok wait_for { row($gate, 'pas2')->{in_flight} == 0 }, 'nothing is left there';
    is row($gate, 'pas2')->{drain}, 'cut', 'the status has it';
    my @log = grep { ($_->{detail} // '') eq 'drain_timeout' } $gate->access(4);
    is scalar @log, 2, 'the access log names drain_timeout twice';
    $gate->stop_ok;
};

# Both legs of a race: that at the drained instance ends with the drain, the other one goes on.
subtest 'cut in the middle of a race' => sub {
    my $gate = gate('sticky = "none"; drain_timeout = "1s"; balance = "roundrobin";',
        routes => '{ path = "/race"; pool = "pas"; upstream_path = "/web"; hedge_after = "200ms"; }');
    my @c = map { my $c = $gate->connect(plain => 1); $c->write($c->build('GET', '/race/delay?ms=6000', close => 1)); $c } 1, 2;
    ok wait_for { row($gate, 'pas1')->{in_flight} == 2 && row($gate, 'pas2')->{in_flight} == 2 }, 'two requests race at both';
    my $wait = drain_wait($gate);
    is ended($wait), 3, 'one of these is drained: cut';
    ok wait_for { row($gate, 'pas2')->{in_flight} == 0 }, 'nothing is left there';
    is row($gate, 'pas1')->{in_flight}, 2, 'the others go on';
    is_deeply [map { my $r = $_->response('GET'); "$r->{status} $r->{h}{'x-instance'}" } @c], [('200 pas1') x 2], 'to their end';
    ok wait_for { row($gate, 'pas1')->{in_flight} == 0 }, 'and no place is lost';
    $gate->stop_ok;
};

subtest 'reload, crash, restart in the middle' => sub {
    my $gate = gate('session_idle = "2s"; drain_timeout = "60s";');
    my $s = session_at($gate, 'pas2');
    $gate->cli('drain', 'pas2');
    wait_for { defined row($gate, 'pas2')->{drain_left_ms} };
    my ($before, $then) = (row($gate, 'pas2'), time);
    visit($gate, $s);
    kill 'KILL', $gate->workers;
    wait_for { my $st = $gate->status; ($st->{workers}{running} // 0) == 2 && (grep { $_->{restarts} } @{ $st->{children} }) == 2 };
    is row($gate, 'pas2')->{sessions}, 1, 'both workers crash: the session is known still';
    is visit($gate, $s), 'pas2', 'and stays';
    is((($gate->cli('reload'))[0]), 0, 'reload');
    my $after = row($gate, 'pas2');
    is "$after->{drain} $after->{admin_since}", "draining $before->{admin_since}", 'the drain goes on';
    my $drift = $before->{drain_left_ms} - $after->{drain_left_ms} - 1000 * (time - $then);
    ok abs($drift) < 2000, 'with the same deadline';
    is visit($gate, $s), 'pas2', 'the session stays';

    $gate->stop_ok;
    $gate->start;
    ok $gate->wait_health($_->{id}, 'up'), "the service was restarted: $_->{id} is up" for @pas;
    my $row = row($gate, 'pas2');
    is "$row->{drain} $row->{admin_since}", "draining $before->{admin_since}", 'the drain goes on';
    ok $row->{drain_left_ms} <= $after->{drain_left_ms}, 'with its deadline';
    my $wait = drain_wait($gate);
    is visit($gate, $s), 'pas2', 'a session from before is not taken for none';
    is ended($wait), 0, 'and then it ends';
    cmp_ok time, '>=', $s->{seen} + 2, 'not before session_idle is over';

    $gate->stop_ok;
    $gate->start;
    is row($gate, 'pas2')->{drain}, 'empty', 'after another restart it has ended still';
    $gate->cli('ready', 'pas2');
    ok pas2_serves($gate), 'until it is taken back';
    $gate->stop_ok;
};

subtest 'taken back' => sub {
    my $gate = gate('session_idle = "60s"; drain_timeout = "60s";');
    my $s = session_at($gate, 'pas2');
    my $wait = drain_wait($gate);
    ok +(wait_for { slurp($wait->{log}) =~ /1 session,/ }), 'a drain goes on';
    $gate->cli('ready', 'pas2');
    is ended($wait), 1, 'exit code 1: it was taken back';
    like slurp($wait->{log}), qr/pas2: ready by uid \d+\n\z/, 'by whom';
    ok pas2_serves($gate), 'it serves';
    $wait = drain_wait($gate);
    ok +(wait_for { slurp($wait->{log}) =~ /1 session,/ }), 'another one';
    my $left = row($gate, 'pas2')->{drain_left_ms};
    cmp_ok $left, '>', 50_000, 'has a deadline of its own';
    $gate->stop_ok;
    is ended($wait), 1, 'the service ends: exit code 1';
    like slurp($wait->{log}), qr/the service ended meanwhile\n\z/, 'and it says so';
};

subtest 'the only instance, and a terminal' => sub {
    my $gate = gate('session_idle = "1s"; drain_timeout = "off";', backends => [$pas[0]]);
    my $c = $gate->connect;
    $c->write($c->build('GET', '/pas/delay?ms=1500', close => 1));
    wait_for { row($gate, 'pas1')->{in_flight} == 1 };
    my $typed = "$gate->{dir}/typed";
    my $pid = PasGate::spawn('/dev/null', 'script', '-qefc', PasGate::binary() . " drain -c $gate->{conf} pas1 --wait", $typed);
    ok +(wait_for { slurp($typed) =~ /pas1: draining/ }), 'it is drained';
    is $gate->get('/pas/get')->{status}, 200, 'it is the last resort while that goes on';
    is $c->response('GET')->{status}, 200, 'what runs ends';
    is PasGate::reap($pid, 20), 0, 'it ends';
    like slurp($typed), qr/\r\e\[Kpas1: draining: 1 in flight, 0 sessions, no time limit\r\e\[K/, 'one line, written anew';
    is $gate->get('/pas/get')->{status}, 503, 'then it gets nothing, though there is no other';
    $gate->cli('ready', 'pas1');
    is $gate->get('/pas/get')->{status}, 200, 'ready: it serves';
    $gate->stop_ok;
};

subtest 'maintenance' => sub {
    my $gate = gate('session_idle = "60s"; drain_timeout = "60s";',
        backends => [map { { name => $_->{id}, port => $_->{port}, restart => '{ command = [ "/bin/true" ]; }' } } @pas]);
    my @s = map { session_at($gate, 'pas2') } 1 .. 3;
    my $c = begin($gate, $s[0], 'GET', '/pas/delay?ms=700');
    ok wait_for { row($gate, 'pas2')->{in_flight} }, 'a request runs';
    is +($gate->cli('maint', 'pas2'))[0], 0, 'maint';
    is $c->response('GET')->{h}{'x-instance'}, 'pas2', 'what ran there ends there';
    is_deeply [map { visit($gate, $_) } @s], [('pas1') x 3], 'its sessions are elsewhere now';
    is_deeply [grep { $_ ne 'pas1' } map { $gate->get('/pas/get')->{h}{'x-instance'} } 1 .. 20], [], 'it gets nothing';
    my $began = time;
    my ($code, $out) = $gate->cli('restart', 'pas2', '--wait', '--force');
    like $out, qr/draining: .*restarting: /s, 'it can be restarted' or diag $out;
    cmp_ok time - $began, '<', 30, 'and its former sessions are not waited for';
    $gate->stop_ok;
};

subtest 'a backend whose name is a number' => sub {
    my $gate = gate('', backends => [map { { name => 3 - $_, port => $pas[$_ - 1]{port} } } 1, 2]);
    my ($code, $out) = $gate->cli('maint', '1');
    is $code, 0, 'maint 1' or diag $out;
    is row($gate, '1')->{admin}, 'maint', 'means the one of that name';
    is row($gate, '2')->{admin}, 'ready', 'not the first one';
    $gate->stop_ok;
};

subtest 'after a restart' => sub {
    my $gate = gate('sticky = "none"; drain_timeout = "60s"; slow_start = "off";',
        backends => [map { { name => $_->{id}, port => $_->{port}, restart => '{ command = [ "/bin/true" ]; }' } } @pas]);
    is +($gate->cli('drain', 'pas2', '--wait'))[0], 0, 'drained';
    ok $gate->cli('restart', 'pas2', '--force'), 'and restarted';
    ok $gate->wait_log(qr/pas2: recovery draining -> restarting/), 'by a command';
    ok $gate->wait_log(qr/pas2: recovery restarting -> verifying/), 'that ends well';
    my ($code, $out) = $gate->cli('drain', 'pas2', '--wait');
    is $code, 0, 'asked again';
    like $out, qr/pas2: drained: empty/, 'it is the drain that is told of';
    $gate->stop_ok;
};

done_testing;
