#!/usr/bin/perl
# 73-systemd.t: pasgate under a real systemd, PID 1 of a container, installed by `make install`:
# etc/pasgate.service as it is, and three instances of PAS as units, each with
# etc/pas.service.drop-in as it is. systemctl starts, reloads, signals and stops them under load.
use strict;
use warnings;
use lib 't/lib';
use Compose;
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time);

use constant PATIENCE => 60;    # seconds, for what systemd or a check has to bring about

my $owner = $$;
my $name  = "pasgate-systemd$$-" . int(time) % 100000;
my @images;
my ($port) = free_ports(1);

if (system('docker info >/dev/null 2>&1')) {
    die "no docker, and nothing may skip in CI\n" if $ENV{CI};
    plan skip_all => 'no docker here';
}

# ---- the machine

sub docker { return run_cmd('docker', @_) }

sub image
{
    my ($tag, @args) = @_;
    push @images, $tag;
    my ($rc, $out) = docker('build', '-t', $tag, @args);
    BAIL_OUT("docker build: $out") if $rc;
    return $tag;
}

sub boot
{
    my ($rc, $out) = run_cmd('docker/base-image.sh');
    BAIL_OUT($out) if $rc;
    my $clone = Compose::clone(tmp('clone'));
    image("$name-build", qw(--target build -f), "$clone/docker/Dockerfile", $clone);
    my $folder = tmp('machine');
    run_cmd('cp', '-r', "$clone/t/systemd", $folder);
    run_cmd('cp', '-r', "$clone/docker/pas-httpbin", $folder);
    image($name, '--build-arg', "BUILD=$name-build", $folder);
    # systemd mounts, and so do sandboxes; of the host it gets nothing else
    ($rc, $out) = docker(qw(run -d --cap-add SYS_ADMIN --security-opt seccomp=unconfined),
        qw(--security-opt apparmor=unconfined --tmpfs /run --tmpfs /run/lock --tmpfs /tmp),
        '--name', $name, '--hostname', 'machine', '-p', "127.0.0.1:$port:443", $name);
    BAIL_OUT("docker run: $out") if $rc;
    return;
}

END {
    if ($$ == $owner) {
        my $rc = $?;
        diag("the journal's end:\n", (run('journalctl', '--no-pager', '-o', 'short-precise', '-n', 120))[1])
          if @images == 2 && !Test::More->builder->is_passing;
        docker('rm', '-f', $name) if @images == 2;
        docker('rmi', '--no-prune', $_) for reverse @images;
        $? = $rc;
    }
}

sub comes { my ($cond) = @_; return &wait_for($cond, PATIENCE) }

# A command in it: (exit code, output).
sub run { return docker('exec', $name, @_) }

sub run_ok
{
    my ($what, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($rc, $out) = run(@command);
    is $rc, 0, $what or diag "@command: $out";
    return $out;
}

sub ctl { return run_ok($_[1] // "@{$_[0]}", 'systemctl', @{ $_[0] }) }

# Properties of a unit.
sub show
{
    my ($unit, @names) = @_;
    my (undef, $out) = run('systemctl', 'show', '--timestamp=us+utc', map({ ('-p', $_) } @names), $unit);
    my %value = $out =~ /^(\w+)=(.*)$/mg;
    return @value{@names};
}

# What a unit's journal has got since $from, which is a length.
sub journal
{
    my ($unit, $from) = @_;
    my (undef, $out) = run(qw(journalctl --no-pager -o cat -u), $unit);
    return substr $out, $from // 0;
}

sub wait_journal
{
    my ($re, $from) = @_;
    return comes(sub { journal('pasgate', $from) =~ $re });
}

sub put
{
    my ($file, $text) = @_;
    my $local = spew(tmp('put'), $text);
    chmod 0644, $local;
    my ($rc, $out) = docker('cp', $local, "$name:$file");
    die "docker cp: $out" if $rc;
}

# ---- what runs on it

sub status
{
    my (undef, $out) = run('pasgate', 'status', '--json');
    return eval { decode_json($out) } // {};
}

sub backend { my ($b) = @_; return (grep { $_->{name} eq $b } @{ status()->{backends} // [] })[0] // {} }

sub wait_backend
{
    my ($b, %want) = @_;
    my $row;
    my $held = comes(sub { $row = backend($b); !grep { ($row->{$_} // '') !~ /^(?:$want{$_})$/ } keys %want });
    diag(explain($row)) if !$held;
    return $held;
}

sub all_well
{
    return comes(sub {
        my @b = @{ status()->{backends} // [] };
        @b == 3 && !grep { $_->{health} ne 'up' || $_->{admin} ne 'ready' || $_->{heal} ne 'none' } @b;
    });
}

sub pid_of { return (show($_[0], 'MainPID'))[0] }

# Every process of pasgate: [pid, user, words].
sub processes
{
    my (undef, $out) = run('ps', '-eo', 'pid=,user=,args=');
    return map { [/^\s*(\d+)\s+(\S+)\s+(.*)/] } grep { /\bpasgate( run|: )/ } split /\n/, $out;
}

my $client = bless { tls => $port }, 'PasGate';

sub load { return PasGate::Load->new($client, clients => 4, pause => 0.01) }

sub get { my $r = eval { $client->get(@_) }; return $r // { status => 0, why => $@, h => {}, body => '' } }

# Does instance $b get requests?
sub serves { my ($b) = @_; return comes(sub { get('/pas/get')->{body} =~ /"id": ?"$b"/ }) }

# Signal RTMIN+$n, with a value if there is one.
sub signal
{
    my ($n, $value) = @_;
    return run('systemctl', 'kill', '--kill-whom=main', "--signal=RTMIN+$n",
        defined $value ? "--kill-value=$value" : (), 'pasgate');
}

# The heal phases of a backend in order, as `why` tells them.
sub heals
{
    my (undef, $out) = run('pasgate', 'why', $_[0]);
    return join ' ', $out =~ /(?:none|draining|restarting|verifying|slowstart|hold)\s+-> (\w+)/g;
}

boot();
my $pas_conf = slurp('t/systemd/pasgate.conf');

subtest 'a boot' => sub {
    my $said;
    ok comes(sub { (undef, $said) = run(qw(systemctl is-system-running)); $said =~ /^running$/ }), 'everything starts'
      or diag $said, (run(qw(systemctl --failed)))[1];
    is((run(qw(systemd-analyze verify --man=no pasgate.service pas2.service pasgate-ready@pas2.service)))[1], '', 'systemd finds nothing odd in the units');
    ok all_well(), 'three instances are up, and ready';
    is get('/pas/get')->{status}, 200, 'it serves';
};

subtest 'start' => sub {
    ctl([qw(stop pasgate)]);
    my $from = length journal('pasgate');
    ctl([qw(start pasgate)]);
    is get('/pas/get')->{status}, 200, 'the first request after it is served';
    my ($since, $state, $sub, $type) = show('pasgate', qw(ActiveEnterTimestamp ActiveState SubState Type));
    is "$state $sub $type", 'active running notify', 'the unit is active';
    my $text = 'generation 1, workers serving: 2 of 2';
    ok comes(sub { (show('pasgate', 'StatusText'))[0] eq $text }), 'its status text';
    like run_ok('systemctl status', qw(systemctl status --no-pager pasgate)), qr/Active: active \(running\).*Status: "\Q$text\E"/s, 'has it';
    ok wait_journal(qr/ready: generation 1/, $from), 'the journal tells that it is ready';
    my ($ready) = map { $_->{time} } grep { $_->{message} =~ /^ready: / } map { eval { decode_json($_) } // () }
      split /\n/, journal('pasgate', $from);
    my ($day, $clock) = $since =~ /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d+)/;
    cmp_ok "${day}T$clock", 'ge', substr($ready // 'none', 0, 23), 'and it was active not before that' or diag journal('pasgate', $from);

    my @all = processes();
    my %user;
    $user{ $_->[2] =~ /^pasgate: (\w+)/ ? $1 : 'supervisor' } = $_->[1] for @all;
    is_deeply \%user, { supervisor => 'root', worker => 'pasgate', healthd => 'pasgate', acmed => 'pasgate' }, 'who runs as whom'
      or diag explain \@all;
};

subtest 'a configuration that is wrong' => sub {
    put('/etc/pasgate/pasgate.conf', $pas_conf =~ s/slow_start/slow_strat/r);
    my $from = length journal('pasgate');
    my ($rc, $said) = run(qw(systemctl restart pasgate));
    isnt $rc, 0, 'start fails';
    like journal('pasgate', $from), qr{/etc/pasgate/pasgate\.conf:\d+: .*slow_strat}, 'the journal tells where';
    my ($state, $times, $code) = show('pasgate', qw(ActiveState NRestarts ExecMainStatus));
    is "$state $times $code", 'failed 0 78', 'and it is not tried again';
    put('/etc/pasgate/pasgate.conf', $pas_conf);
    ctl([qw(start pasgate)], 'once mended it starts');
    ok all_well(), 'and all is well';
};

subtest 'reload' => sub {
    my $load = load();
    my $was = status()->{generation};
    ctl([qw(reload pasgate)]);
    is status()->{generation}, $was + 1, 'a new generation is live when systemctl returns';
    my $pid = pid_of('pasgate');
    ok comes(sub { (show('pasgate', 'StatusText'))[0] =~ /^generation @{[$was + 1]}, / }), 'the status text tells it';

    put('/etc/pasgate/pasgate.conf', $pas_conf =~ s/min_healthy/min_healty/r);
    my $from = length journal('pasgate');
    my ($rc, $said) = run(qw(systemctl reload pasgate));
    isnt $rc, 0, 'a typo: systemctl reload fails';
    like journal('pasgate', $from), qr{/etc/pasgate/pasgate\.conf:\d+: .*min_healty}, 'the journal tells where';
    is join(' ', show('pasgate', qw(ActiveState SubState MainPID))), "active running $pid", 'the service goes on';
    is status()->{generation}, $was + 1, 'with the old generation';
    put('/etc/pasgate/pasgate.conf', $pas_conf);
    ctl([qw(reload pasgate)], 'mended: reload succeeds');
    is status()->{generation}, $was + 2, 'another generation';
    $load->stop_ok('no request failed');
};

subtest 'signals with a value' => sub {
    my $load = load();
    is((signal(1, 2))[0], 0, 'RTMIN+1, 2');
    ok wait_backend('pas2', admin => 'drain'), 'drains backend 2';
    is backend($_)->{admin}, 'ready', "and not $_" for qw(pas1 pas3);
    signal(2, 2);
    ok wait_backend('pas2', admin => 'ready'), 'RTMIN+2 readies it';
    signal(4, 2);
    ok wait_backend('pas2', admin => 'maint'), 'RTMIN+4: maint';
    signal(2, 2);
    ok wait_backend('pas2', admin => 'ready', health => 'up'), 'ready again';
    my $instance = pid_of('pas2');
    signal(3, 2);
    ok comes(sub { heals('pas2') =~ /slowstart none$/ }), 'RTMIN+3 restarts it' or diag +(run(qw(pasgate why pas2)))[1];
    isnt pid_of('pas2'), $instance, 'it is another process';
    $load->stop_ok('no request failed');

    my $from = length journal('pasgate');
    my $before = join ' ', map { "$_->{name} $_->{admin} $_->{heal}" } @{ status()->{backends} };
    signal(1, $_) for 0, 99;
    signal(3, undef);
    run(qw(systemctl kill --signal=RTMIN+4 pasgate));    # to all its processes, as it is by default
    ok wait_journal(qr/drain of backend number $_ by uid 0: refused/, $from), "value $_ is refused" for 0, 99;
    ok wait_journal(qr/signal RTMIN\+$_ from uid 0 without a backend number: refused/, $from), "RTMIN+$_ without one, too" for 3, 4;
    is join(' ', map { "$_->{name} $_->{admin} $_->{heal}" } @{ status()->{backends} }), $before, 'and nothing has changed';
    is scalar(processes()), 5, 'nobody died of it';
};

subtest 'an admin override outlives the service' => sub {
    signal(1, 2);
    ok wait_backend('pas2', admin => 'drain'), 'drain';
    ctl([qw(restart pasgate)]);
    is backend('pas2')->{admin}, 'drain', 'systemctl restart';
    for my $n (1 .. 6) {    # more often than systemd's default limit of starts allows
        my $pid = pid_of('pasgate');
        run('kill', '-9', $pid);
        comes(sub { my ($new, $state) = show('pasgate', qw(MainPID ActiveState)); $state eq 'active' && $new != $pid })
          or last;
    }
    my ($state, $times) = show('pasgate', qw(ActiveState NRestarts));
    is "$state $times", 'active 6', 'kill -9, six times: it is started again each time';
    is backend('pas2')->{admin}, 'drain', 'and the override is still there';
    signal(2, 2);
    ok wait_backend('pas2', admin => 'ready'), 'until it is taken back';
    ok all_well(), 'all is well';
};

subtest 'pasgate restarts a unit' => sub {
    my $load = load();
    my $was = pid_of('pas2');
    my $said = run_ok('pasgate restart --wait', qw(pasgate restart pas2 --wait));
    like $said, qr/draining: .*restarting: .*verifying: \S*systemctl succeeded.*slowstart: healthy again/s, 'its phases';
    isnt pid_of('pas2'), $was, 'systemd has started another process';
    ok wait_backend('pas2', heal => 'none', admin => 'ready'), 'back at its full weight';
    ok serves('pas2'), 'and gets requests';
    $load->stop_ok('no request failed');
};

subtest 'pasgate is restarted while it restarts a unit' => sub {
    my ($was, $from) = (pid_of('pas2'), length journal('pasgate'));
    run('touch', '/usr/wrk/oepas2/slow');
    run_ok('pasgate restart', qw(pasgate restart pas2));
    ok comes(sub { (show('pas2', 'SubState'))[0] eq 'stop' && backend('pas2')->{admin} eq 'drain' }), 'the unit stops';
    run('systemctl', '--no-block', 'restart', 'pasgate');
    ok comes(sub { journal('pasgate', $from) =~ /stops gracefully/ }), 'pasgate stops, too';
    run('rm', '/usr/wrk/oepas2/slow');
    ok comes(sub { my ($state) = show('pasgate', 'ActiveState'); $state eq 'active' && journal('pasgate', $from) =~ /ready: generation 1/ }), 'and is back';
    unlike journal('pasgate', $from), qr/did not end in time/, 'neither waited for the other';
    ok all_well(), 'the unit is up, and no longer drained';
    isnt pid_of('pas2'), $was, 'as another process';
};

subtest 'one that hangs' => sub {
    my $load = load();
    my $was = pid_of('pas2');
    run_ok('pas2 hangs', qw(pas-httpbin -c 8822 -C mode=hang));
    ok comes(sub { heals('pas2') =~ /draining restarting verifying slowstart none$/ && pid_of('pas2') != $was }),
      'healthd has it restarted by systemctl' or diag +(run(qw(pasgate why pas2)))[1];
    ok serves('pas2'), 'and it gets requests again';
    $load->stop_ok('no request failed');
};

subtest 'an operator restarts a unit' => sub {
    my $load = load();
    my $post = PasGate::Load->new($client, clients => 4, method => 'POST', path => '/pas/delay?ms=400', body => 'x=1');
    for my $b (qw(pas1 pas2 pas3)) {
        my $was = pid_of($b);
        ctl(['restart', $b]);
        isnt pid_of($b), $was, 'is another process';
        ok wait_backend($b, admin => 'ready'), 'and ready';
        ok serves($b), 'it gets requests again';
    }
    $post->stop_ok('no POST that takes its time failed');
    ctl([qw(stop pas2)]);
    is backend('pas2')->{admin}, 'drain', 'one that is stopped stays drained';
    ok wait_backend('pas2', health => 'down'), 'it is seen to be down';
    $load->stop_ok('no request failed');
    # healthd would have asked after 500 ms
    is((show('pas2', 'ActiveState'))[0], 'inactive', 'and pasgate does not start it');
};

subtest 'the machine is restarted' => sub {
    is backend('pas2')->{admin}, 'drain', 'pas2 is stopped, and drained';
    put('/etc/pasgate/pasgate.conf', $pas_conf =~ s/drain_timeout = "\K4s/300s/r =~ s/session_idle = "\K1s/300s/r);
    ctl([qw(reload pasgate)]);
    like get('/pas/session')->{h}{'set-cookie'} // '', qr/JSESSIONID/, 'somebody has a session';
    put('/etc/pasgate/pasgate.conf', $pas_conf);
    my ($rc, $out) = docker('stop', '-t', PATIENCE, $name);
    is +(docker('inspect', '-f', '{{.State.ExitCode}}', $name))[1] + 0, 0, 'the machine stops in time all the same' or diag $out;
    docker('start', $name);
    ok comes(sub { (run(qw(systemctl is-system-running)))[1] =~ /^running$/ }), 'everything starts';
    ok all_well(), 'and no instance stays drained';
    ok serves($_), "$_ gets requests" for qw(pas1 pas2 pas3);
};

subtest 'the watchdog' => sub {
    my ($pid, $times) = show('pasgate', qw(MainPID NRestarts));
    my $from = length journal('pasgate');
    run('kill', '-STOP', $pid);
    ok comes(sub { my ($new, $state) = show('pasgate', qw(MainPID ActiveState)); $state eq 'active' && $new != $pid }),
      'a supervisor that hangs is replaced';
    like journal('pasgate', $from), qr/Watchdog timeout/, 'by the watchdog';
    is((show('pasgate', 'NRestarts'))[0], $times + 1, 'once');
    ok all_well(), 'and the service is back';
    is get('/pas/get')->{status}, 200, 'it serves';
};

subtest 'stop' => sub {
    my $from = length journal('pasgate');
    my ($slow) = in_parallel(
        sub { my $r = get('/pas/delay?ms=4000', timeout => 20); "$r->{status} " . ($r->{complete} // '') },
        sub { comes(sub { (status()->{totals}{exchanges} // 0) > 0 }); (run(qw(systemctl stop pasgate)))[0] });
    is $slow, '200 1', 'a request of 4 s ends as it should, though TimeoutStopSec is 2 s';
    is join(' ', show('pasgate', qw(ActiveState Result ExecMainCode ExecMainStatus))), 'inactive success 1 0', 'exit code 0';
    is_deeply [processes()], [], 'no process is left';
    is((run('sh', '-c', 'ls -d /run/pasgate /dev/shm/pasgate* 2>/dev/null'))[1], '', 'nor its table and pidfile');
};

done_testing;
