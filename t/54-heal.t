# Restarts: by an operator and by healthd, what guards them, and what becomes of one that fails.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

# A stand-in that comes back when it is killed, as a container with a restart policy does; not
# while the file stay-ID is there.
package Kept;
our @ISA = 'PasGate::StandIn';

sub start
{
    my ($self) = @_;
    $self->{pid} = PasGate::spawn($self->{log}, 'perl', '-e', <<'END', PasGate::tmp($self->{id}), PasGate::tmp("stay-$self->{id}"),
my ($file, $stay, @cmd) = @ARGV;
my $pid;
$SIG{TERM} = sub { kill 'KILL', $pid if $pid; exit 0 };
while (1) {
    select undef, undef, undef, 0.02 while -e $stay;
    $pid = fork;
    exec @cmd if $pid == 0;
    open my $out, '>', "$file.new" or die;
    print $out $pid;
    close $out;
    rename "$file.new", $file;
    waitpid $pid, 0;
}
END
        'setpriv', '--pdeathsig', 'KILL', '--', PasGate::tool('pas-httpbin'), '-p', $self->{port}, '-c', $self->{ctl}, '-i', $self->{id});
    PasGate::remember($self);
    PasGate::wait_for {
        eval { PasGate::Conn->new($self->{$_}, timeout => 1)->close for qw(port ctl); 1 };
    } or die "stand-in $self->{id} does not start";
    return $self;
}

sub instance { my ($self) = @_; return PasGate::slurp(PasGate::tmp($self->{id})) + 0 }

package main;

my $dir    = tmp();
my $script = spew("$dir/restart.sh", <<"END");
#!/bin/sh
b="\$PASGATE_BACKEND"
echo "restarting \$b for \$PASGATE_INCIDENT"
: >"$dir/began-\$b"
while test -e "$dir/slow-\$b"; do sleep 0.05; done
if test -e "$dir/talks"; then echo "\$b is stopped"; fi
if test -e "$dir/fail-\$b"; then : >"$dir/failed-\$b"; echo "the disk is full"; exit 3; fi
kill -9 "\$(cat "$dir/\$b")"
END
chmod 0755, $script;

my @pas  = map { Kept->new("pas$_") } 1 .. 3;
my $bare = PasGate::StandIn->new('bare');
my %pas  = map { ($_->{id} => $_) } @pas;
my $check = 'type = "pasoe"; path = "/rest/_oepingService/_oeping"; interval = "200ms"; fast_interval = "100ms"; '
  . 'down_interval = "100ms"; timeout = "300ms"; rise = 2; fall = 2; jitter = 0;';

sub pool
{
    my (%change) = (min_healthy => 1, heal => '', @_);
    return 'sticky = "none"; slow_start = "300ms"; drain_timeout = "2s"; ' . "min_healthy = $change{min_healthy}; "
      . qq(heal = { after = "300ms"; max_restarts = 3; hold_down = "200ms"; verify = "4s"; $change{heal} };);
}

my $gate = PasGate->new(
    workers    => 2,
    check      => $check,
    pool       => pool(),
    global     => 'stop_timeout = "2s";',
    backends   => [map { { name => $_->{id}, port => $_->{port}, restart => qq({ command = [ "$script" ]; timeout = "10s"; stop_timeout = "1s"; }) } } @pas],
    more_pools => [qq(name = "other"; check = { $check }; backends = ( { name = "bare"; address = "127.0.0.1:$bare->{port}"; } );)]);

sub backend { return (grep { $_->{name} eq $_[0] } @{ $gate->status->{backends} // [] })[0] // {} }

# Waits until a backend's heal state matches; its row.
sub heals
{
    my ($name, $want, $seconds) = @_;
    my $row;
    return wait_for { $row = backend($name); ($row->{heal} // '') =~ /^(?:$want)$/ && $row } $seconds;
}

# Waits for the restarter; its pid, or that of nobody.
sub restarter
{
    my $pid;
    wait_for { ($pid) = $gate->pids('restarter'); $pid };
    return $pid // 2**22;
}

sub all_up { return !grep { !$gate->wait_health($_->{id}, 'up') || !heals($_->{id}, 'none') } @pas }

sub reload
{
    $gate->write_config(@_);
    my ($code, $out) = $gate->cli('reload');
    is $code, 0, 'reload' or diag $out;
}

sub touch { spew("$dir/$_", '') for @_ }
sub away  { unlink "$dir/$_" for @_ }

# The heal phases of a backend in order, as `why` tells them: [time, actor, from, to, reason].
sub phases
{
    my ($code, $out) = $gate->cli('why', $_[0]);
    return map { [/^(\S+) +(\S+) +(\S+) +-> (\S+) +(.*)/] }
      grep { /(?:none|draining|restarting|verifying|slowstart|hold) +-> / } split /\n/, $out;
}

sub path { return join ' ', map { $_->[3] } phases($_[0]) }

ok all_up(), 'three instances are up';

subtest 'an operator restarts one, under load' => sub {
    my $load = PasGate::Load->new($gate, clients => 4);
    my $post = PasGate::Load->new($gate, clients => 3, method => 'POST', path => '/pas/delay?ms=300', body => 'x=1');
    my $was  = $pas{pas2}->instance;
    my ($code, $out) = $gate->cli('restart', 'pas2', '--wait');
    is $code, 0, 'it came back' or diag $out;
    like $out, qr/draining: asked for by uid \d+\n.*restarting: diagnostics in .*\n.*verifying: .*restarting pas2 for .*\n.*slowstart: healthy again/,
      'its phases';
    isnt $pas{pas2}->instance, $was, 'it is another process';
    ok heals('pas2', 'none'), 'its slow start ends';
    is $load->stop_ok('no GET failed')->{closed}, 0, 'none lost its connection';
    is $post->stop_ok('no POST failed')->{closed}, 0, 'nor a POST';
    my $row = backend('pas2');
    like $row->{incident}, qr/^\d{8}T\d{6}-pas2-1$/, 'an incident';
    is $row->{heal_attempts}, 0, 'a restart of an operator that helps does not count';
    my ($folder) = $out =~ /diagnostics in (\S+)/;
    ok -d $folder, 'its folder';
    ok scalar(glob "$folder/*"), 'evidence is in it';
    is path('pas2'), 'draining restarting verifying slowstart none', 'and why tells it all';
    is join(' ', map { $_->[1] } phases('pas2')), 'operator supervisor supervisor supervisor supervisor', 'who it was';
};

subtest 'refused' => sub {
    my $from = length $gate->log_text;
    my ($code, $out) = $gate->cli('restart', 'pas9');
    is $code, 2, 'no such name';
    like $out, qr/no backend "pas9"/, 'says so';
    for my $n (0, 99, 65536, 70000, -2147483648) {
        run_cmd('/bin/kill', '-q', $n, '-s', 'RTMIN+3', $gate->{pid});
    }
    run_cmd('/bin/kill', '-s', 'RTMIN+3', $gate->{pid});
    ok $gate->wait_log(qr/without a backend number: refused/, undef, $from), 'a signal without a number';
    like substr($gate->log_text, $from), qr/number $_ .*refused, no such backend/, "number $_" for 0, 99, -2147483648;
    ($code, $out) = $gate->cli('restart', 'bare', '--wait');
    is $code, 1, 'no action is configured';
    like $out, qr/bare is not restarted: no restart is configured/, 'says so';
    ($code, $out) = $gate->cli('restart', 'pas1', '--rolling', 'pas');
    is $code, 2, 'a backend and a pool';
    ($code, $out) = $gate->cli('restart', '--rolling', 'no');
    is $code, 2, 'no such pool';

    touch 'slow-pas2';
    away 'began-pas2';
    my $was = $pas{pas2}->instance;
    ($code, $out) = $gate->cli('restart', 'pas2');
    is $code, 0, 'one begins' or diag $out;
    ok heals('pas2', 'restarting'), 'and runs';
    ok wait_for { -e "$dir/began-pas2" }, 'with its command, after the evidence';
    my $requests = path('pas2');
    ($code, $out) = $gate->cli('restart', 'pas2');
    like +($gate->cli('status'))[1], qr/^ *2 +pas2 +pas +\S+ +\S+ +\S+ +ready /m, 'the column ADMIN is about overrides only';
    is $code, 1, 'a second one meanwhile is refused';
    like $out, qr/a restart is in progress \(restarting\)/, 'says so';
    is path('pas2'), $requests, 'and changes nothing';
    ($code, $out) = $gate->cli('restart', 'pas1', '--force');
    is $code, 1, 'one of the same pool too, even with --force';
    like $out, qr/pas2 of the same pool is being restarted/, 'says so';

    my $restarter = restarter();
    kill 'KILL', $restarter;
    ok heals('pas2', 'none'), 'the restarter is killed: the restart has failed';
    like backend('pas2')->{heal_reason}, qr/restarter was ended by signal 9/, 'says so';
    is backend('pas2')->{heal_attempts}, 1, 'a failed one counts';
    touch 'fail-pas2';
    away 'slow-pas2';
    ok wait_for { -e "$dir/failed-pas2" }, '(its command ends, too)';
    ok $gate->wait_health('pas2', 'up'), 'it was not touched, and serves on';
    is $pas{pas2}->instance, $was, 'in the same process';
    away 'fail-pas2';
};

subtest 'taken back while it drains' => sub {
    my $was  = $pas{pas1}->instance;
    my @busy = map { my $c = $gate->connect; $c->write($c->build('POST', '/pas/delay?ms=4000', body => 'x=1')); $c } 1 .. 6;
    ok wait_for { backend('pas1')->{in_flight} }, 'it has something to do';
    $gate->cli('restart', 'pas1');
    is backend('pas1')->{heal}, 'draining', 'a restart waits for that';
    my ($code, $out) = $gate->cli('ready', 'pas1');
    is $code, 0, 'ready' or diag $out;
    is backend('pas1')->{heal}, 'none', 'it is taken back';
    is join(' ', map { $_->response('POST')->{status} } @busy), join(' ', (200) x 6), 'what ran ends well';
    is $pas{pas1}->instance, $was, 'and nothing was restarted';
};

subtest 'one that hangs is restarted' => sub {
    my $was = $pas{pas3}->instance;
    $pas{pas3}->ctl('mode=hang');
    ok heals('pas3', 'restarting|verifying|slowstart'), 'healthd has it restarted';
    ok wait_for { $pas{pas3}->instance != $was }, 'it is another process';
    ok all_up(), 'up again';
    is path('pas3'), 'draining restarting verifying slowstart none', 'the same way';
    is +(phases('pas3'))[0][1], 'healthd', 'by healthd';
    is backend('pas3')->{heal_attempts}, 1, 'which counts';
};

subtest 'two that hang are restarted one after the other' => sub {
    $_->ctl('mode=hang') for @pas[0, 1];
    my $two = 0;
    ok wait_for {
        my @busy = grep { $_->{heal} =~ /draining|restarting|verifying/ } @{ $gate->status->{backends} };
        $two++ if @busy > 1;
        path('pas1') =~ /slowstart/ && path('pas2') =~ /slowstart.*slowstart/;
    }, 'both';
    is $two, 0, 'never two at a time';
    ok all_up(), 'up again';
};

subtest 'a restart that fails' => sub {
    touch 'fail-pas3';
    $pas{pas3}->ctl('mode=pingfail');
    ok heals('pas3', 'hold', 30), 'after three in an hour it is held';
    my $row = backend('pas3');
    is $row->{heal_attempts}, 3, 'attempts';
    like $row->{heal_reason}, qr/exit.*3.*needs a human/, 'the reason';
    ok $gate->wait_log(qr/error supervisor.*pas3: recovery .* -> hold/), 'an error in the log';
    like +($gate->cli('status'))[1], qr/^attention: .*^ *\d+ +pas3 .* ready .*\n(?:.*\n)?.*recovery:\s+hold\s(?:.*\n)?.*needs\s+a\s+human/ms, 'status shows it, and what the operator wants beside it';
    away 'fail-pas3';
    my $seen = path('pas3');
    my ($row2) = (backend('pas3'));
    is $row2->{health}, 'down', 'it is down';
    my $probes = $row2->{check}{probes};
    ok wait_for { backend('pas3')->{check}{probes} > $probes + 4 }, 'time goes by';
    is path('pas3'), $seen, 'and it is left alone';
    my ($code, $out) = $gate->cli('ready', 'pas3');
    is $code, 0, 'ready' or diag $out;
    ok all_up(), 'now it is healed';
    like path('pas3'), qr/hold none draining restarting verifying slowstart none$/, 'by healthd again';
    my @begun = map { $_->[0] } grep { $_->[3] eq 'draining' } phases('pas3');
    cmp_ok scalar @begun, '>=', 4, 'each try is told';
};

subtest 'one that does not come back' => sub {
    touch 'stay-pas1';
    my ($code, $out) = $gate->cli('restart', 'pas1');
    ok heals('pas1', 'verifying'), 'restarted, but not there' or diag $out;
    my ($healthd) = $gate->pids('healthd');
    kill 'KILL', $healthd;
    reload();
    is backend('pas1')->{heal}, 'verifying', 'neither a crash of healthd nor a reload changes that';
    away 'stay-pas1';
    ok all_up(), 'it comes late, and is taken back';
    like path('pas1'), qr/verifying slowstart none$/, 'in the same restart';
};

subtest 'a reload while the restarter works' => sub {
    touch 'slow-pas1';
    $gate->cli('restart', 'pas1');
    my $restarter = restarter();
    reload();
    my ($child) = grep { $_->{kind} eq 'restarter' } @{ $gate->status->{children} };
    is_deeply [@$child{qw(pid state)}], [$restarter, 'running'], 'it goes on, and nobody ends it';
    is backend('pas1')->{heal}, 'restarting', 'so does the restart';
    away 'slow-pas1';
    ok all_up(), 'and ends well';
    like path('pas1'), qr/restarting verifying slowstart none$/, 'in its order';
};

subtest 'min_healthy' => sub {
    reload(pool => pool(min_healthy => 2));
    $pas{pas3}->ctl('mode=pingfail');
    $pas{pas2}->ctl('mode=pingfail');
    ok $gate->wait_health($_, 'down'), "$_ is down" for qw(pas2 pas3);
    ok wait_for { backend('pas3')->{heal_reason} =~ /not restarted: 1 other of its pool is up and ready, min_healthy is 2/ },
      'too few others: healthd may not';
    my ($code, $out) = $gate->cli('restart', 'pas1');
    is $code, 1, 'nor may an operator, of one that is up';
    like $out, qr/0 others of its pool are up and ready, min_healthy is 2 \(--force/, 'says why';
    is +(grep { $_->{heal} ne 'none' } @{ $gate->status->{backends} }), 0, 'nothing changed';
    ($code, $out) = $gate->cli('restart', 'pas2', '--wait');
    is $code, 0, 'but one that is down' or diag $out;
    ok all_up(), 'then there are enough for the other, too';
    $pas{pas3}->ctl('mode=pingfail');
    ok $gate->wait_health('pas3', 'down'), 'one is down';
    reload(pool => pool(min_healthy => 3));
    ($code, $out) = $gate->cli('restart', 'pas1', '--wait', '--force');
    is $code, 0, 'with --force anything' or diag $out;
    $pas{pas3}->ctl('mode=ok');
    reload(pool => pool());
    ok all_up(), 'all is well again';
};

subtest 'dry run' => sub {
    reload(pool => pool(heal => 'dry_run = true;'));
    my $was = $pas{pas2}->instance;
    my $from = length $gate->log_text;
    $pas{pas2}->ctl('mode=pingfail');
    ok $gate->wait_log(qr/pas2: recovery none -> none by supervisor: dry run, would be restarted/, undef, $from), 'the log tells it';
    like +(phases('pas2'))[-1][4], qr/^dry run/, 'why too';
    my $probes = backend('pas2')->{check}{probes};
    ok wait_for { backend('pas2')->{check}{probes} > $probes + 4 }, 'time goes by';
    is $pas{pas2}->instance, $was, 'nothing is done';
    is +(() = substr($gate->log_text, $from) =~ /dry run/g), 1, 'and that is told once';
    $pas{pas2}->ctl('mode=ok');
    reload(pool => pool());
    ok all_up(), 'all is well again';
};

subtest 'one pool after the other' => sub {
    my $load = PasGate::Load->new($gate, clients => 4);
    my @was  = map { $_->instance } @pas;
    my ($code, $out) = $gate->cli('restart', '--rolling', 'pas');
    is $code, 0, 'all came back' or diag $out;
    like $out, qr/^restarted: pas1 pas2 pas3$/m, 'says so';
    is scalar(grep { $pas[$_]->instance == $was[$_] } 0 .. 2), 0, 'each is another process';
    for my $n (1, 2) {
        my ($warm) = map { $_->[0] } grep { "$_->[2] $_->[3]" eq 'slowstart none' } reverse phases("pas$n");
        my ($next) = map { $_->[0] } grep { $_->[3] eq 'draining' } reverse phases('pas' . ($n + 1));
        cmp_ok $warm, 'le', $next, "pas$n was warm before the next one went";
    }
    $load->stop_ok('no request failed');
    ok all_up(), 'all are up';

    touch 'fail-pas2';
    my $third = $pas{pas3}->instance;
    ($code, $out) = $gate->cli('restart', '--rolling', 'pas');
    is $code, 1, 'one fails';
    like $out, qr/^restarted: pas1$/m, 'what was done';
    like $out, qr/^not restarted: pas2 pas3$/m, 'and what was not';
    is $pas{pas3}->instance, $third, 'it stopped there';
    away 'fail-pas2';
    is backend('pas2')->{heal}, 'hold', 'that was the third of this hour';
    ok $gate->wait_health('pas2', 'up'), 'which serves nevertheless';
    $gate->cli('ready', 'pas2');
    ok all_up(), 'all are up';
};

subtest 'removed meanwhile, and the end' => sub {
    touch 'slow-pas3';
    $gate->cli('restart', 'pas3');
    ok heals('pas3', 'restarting'), 'a restart runs';
    restarter();
    my @all = @{ $gate->{backends} };
    reload(backends => [@all[0, 1]]);
    away 'slow-pas3';
    ok $gate->wait_log(qr/pas3: recovery verifying -> none by supervisor: no longer in the configuration/), 'its end is seen, no more';
    reload(backends => \@all);
    ok all_up(), 'it is back';
};

# Begins a restart of pas1, whose command then waits for the end of `slow-pas1`; the old instance.
sub begin_restart
{
    ok all_up(), 'all are up';
    my $old = $pas{pas1}->instance;
    away 'began-pas1';
    touch 'slow-pas1', 'talks';
    $gate->cli('restart', 'pas1');
    ok wait_for { -e "$dir/began-pas1" }, 'the restart command of pas1 runs';
    $gate->{outlives} = restarter();
    return $old;
}

# What it prints then must not end the command either.
sub goes_on
{
    my ($old, $from) = @_;
    ok $gate->wait_log(qr/the restart of backend pas1 has not ended: the service ends without it, and the restart goes on/, undef, $from),
      'the log says what becomes of it';
    is $pas{pas1}->instance, $old, 'it has not restarted pas1 yet';
    away 'slow-pas1';
    ok wait_for { $pas{pas1}->instance != $old }, 'it does, after the end of the service';
    ok $gate->wait_log(qr/pas1: restarted, incident/, undef, $from), 'and says so';
}

subtest 'a stop during a restart' => sub {
    my $old  = begin_restart();
    my $from = length $gate->log_text;
    $gate->signal('TERM');
    ok $gate->wait_log(qr/acmed \(pid \d+\) finished/, undef, $from), 'all others have ended';
    away 'slow-pas1';
    $gate->stop_ok('a restart that ends soon is waited for', 'WINCH');
    unlike substr($gate->log_text, $from), qr/has not ended/, 'to its end';
    isnt $pas{pas1}->instance, $old, 'pas1 was restarted';

    $gate->start;
    $old  = begin_restart();
    $from = length $gate->log_text;
    $gate->stop_ok('a restart that does not end does not keep the service from stopping');
    goes_on($old, $from);

    $gate->start;
    $old  = begin_restart();
    $from = length $gate->log_text;
    $gate->stop_ok('nor from stopping at once', 'INT');
    goes_on($old, $from);
};

done_testing;
