#!/usr/bin/perl
# 55-restarter.t: one restart, from what is saved before it to what is said after it: by a
# command, by the real Docker Engine, and by engines and instances that say anything.
#
# The body of the restarter runs without pasgate around it (t/tools/restart-try.c); the last
# part is `pasgate restart` of a container that hangs. Containers and images have this run's
# name and are removed at the end. The image is made of one static program: nothing is pulled.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX;
use JSON::PP;
use PasGate;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use constant {
    MIB    => 1024 * 1024,
    SECRET => 'hunter2',    # is nowhere in the evidence
};

my $owner = $$;
my $name  = "pasgate-t55-$$";
my $tries = 0;
my (@containers, @images);

# ---- restart-try

# One backend with these settings, another one's check; returns the file.
sub conf
{
    my (%opt) = @_;
    my $n = ++$tries;
    return spew(tmp("try$n.conf"), <<"END");
pidfile = "@{[tmp('none.pid')]}";
listen = ( { address = "127.0.0.1:1"; } );
pools = ( { name = "pas"; check = { @{[$opt{check} // 'type = "tcp";']} };
    backends = ( { name = "pas1"; address = "127.0.0.1:@{[$opt{port} // 9]}";
                   restart = { $opt{restart} }; } ); } );
END
}

# Restarts it: { code, text (what the supervisor is told), out, folder, seconds }.
# Options: those of conf; folder; before => code that runs in the process that becomes it.
sub try
{
    my (%opt) = @_;
    my $file   = conf(%opt);
    my $folder = $opt{folder} // tmp("evidence$tries");
    mkdir $folder, 0700 unless $opt{folder};
    my $program = PasGate::for_all(tool('t/tools/restart-try'));
    my $began = time;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        $opt{before}->() if $opt{before};
        exec $program, $file, 'pas1', $folder or POSIX::_exit(127);
    }
    my $text = do { local $/; <$out> // '' };
    close $out;
    return { code => $? >> 8, out => $text, text => (grep { !/ pasgate\[\d+\]: / } split /\n/, $text)[-1] // '',
        folder => $folder, seconds => time - $began };
}

sub quoted { return '[ ' . join(', ', map { s/(["\\])/\\$1/gr =~ s/(.*)/"$1"/sr } @_) . ' ]' }

sub by_command
{
    my ($script, %opt) = @_;
    my $more = delete $opt{more} // '';
    return try(restart => 'command = ' . quoted('/bin/sh', '-c', $script, 'restart') . "; $more", %opt);
}

sub by_docker
{
    my ($container, $more, %opt) = @_;
    return try(restart => qq(docker = "$container"; stop_timeout = "1s"; ) . ($more // ''), %opt);
}

sub evidence
{
    my ($r) = @_;
    return { map { m{([^/]+)\z} => slurp($_) } glob "$r->{folder}/*" };
}

sub failed_like
{
    my ($r, $re, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $held = is($r->{code}, 1, "$what: not restarted") & like($r->{text}, $re, 'and why');
    diag($r->{out}) unless $held;
    return;
}

# ---- by a command

subtest 'command' => sub {
    my $r = by_command('echo "$PASGATE_BACKEND $PASGATE_ADDRESS $PASGATE_POOL $PASGATE_INCIDENT"');
    is($r->{code}, 0, 'restarted') or diag($r->{out});
    like($r->{text}, qr{^/bin/sh succeeded after .*: pas1 127\.0\.0\.1:9 pas 20261123T040506-1$}, 'told');
    like($r->{out}, qr/restarting, incident 20261123T040506-1, diagnostics in \Q$r->{folder}\E/, 'logged');
    my $e = evidence($r);
    is(join(' ', sort keys %$e), 'action.log counters exchanges incident.json transitions', 'evidence');
    like($e->{'action.log'}, qr/^pas1 127.*\n\S+Z restarted: /, 'what it said, and what came of it');
    like($e->{transitions}, qr/healthd +up +-> +down +it hangs\n.*operator/, 'history');
    is(decode_json($e->{'incident.json'})->{reason}, 'it was ill for the test', 'why');
    is_deeply([map { (stat)[2] & 0777 } glob "$r->{folder}/*"], [(0600) x 5], 'for its owner only');

    failed_like(by_command('echo no such unit >&2; exit 5'), qr/exit code 5 .*: no such unit/, 'exit code');
    failed_like(by_command('kill -9 $$'), qr/signal 9/, 'signal');
    failed_like(by_command('trap "" TERM; while :; do sleep 0.1; done',
            more => 'timeout = "2s"; stop_timeout = "1s";'),
        qr/did not end within 2\.0 s, ignored SIGTERM and was killed/, 'hangs');

    $r = by_command('yes "01234567890123456789" | head -c 5000000; echo; echo end');
    is($r->{code}, 0, 'output without measure');
    $e = evidence($r)->{'action.log'};
    cmp_ok(length $e, '<', MIB / 2, 'is kept in part');
    like($e, qr/\A\(\d+ bytes before this are left out\)\n.*\nend\n\S+Z restarted: .*: end\n\z/s, 'its end');
};

subtest 'evidence fails' => sub {
    my $r = by_command('true', folder => tmp('not-there'));
    is($r->{code}, 0, 'no folder: restarted all the same');
    like($r->{out}, qr/diagnostics are incomplete.*No such file/, 'and it is said');
    # a file may have no byte, as on a full disk
    $r = by_command('true', before => sub {
        $SIG{XFSZ} = 'IGNORE';
        exec 'sh', '-c', 'ulimit -f 0; exec "$@"', 'sh', tool('t/tools/restart-try'), tmp("try$tries.conf"),
          'pas1', tmp("evidence$tries");
    });
    is($r->{code}, 0, 'no room: restarted all the same');
    like($r->{out}, qr/diagnostics are incomplete.*File too large/, 'and it is said');
    $r = by_command('true', before => sub {
        $SIG{XFSZ} = 'DEFAULT';
        exec 'sh', '-c', 'ulimit -f 0; exec "$@"', 'sh', tool('t/tools/restart-try'), tmp("try$tries.conf"),
          'pas1', tmp("evidence$tries");
    });
    is($r->{code}, 0, 'who collects it dies: restarted all the same');
};

# ---- PAS and its words

my $json = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.progress+json\r\nConnection: close\r\n\r\n";

sub pas
{
    my ($answer) = @_;
    return PasGate::Scripted->new(reply => sub {
        my ($request) = @_;
        my ($path) = $request =~ /^GET (\S+)/;
        return ($answer->($path, $request), undef);
    });
}

sub ask
{
    my ($pas) = @_;
    return by_command('true', port => $pas->{port}, more => 'oemanager = "oem:' . SECRET . '";',
        check => qq(type = "http"; path = "/health"; port = $pas->{port};));
}

subtest 'PAS' => sub {
    my $users = tmp('users');
    my $pas = pas(sub {
        my ($path) = @_;
        # who asks: this program's processes, by uid
        spew($users, join ' ', map { slurp($_) =~ /^Name:\s*restart-try\n.*?^Uid:\s*(\d+)/ms } glob '/proc/[0-9]*/status')
          if $path =~ /details/;
        return $json . encode_json(
              $path =~ m{/health}        ? { health => 0.4, probe => 'AgentWatch' }
            : $path =~ m{applications$}  ? { result => { Application => [{ name => 'oepas1' }, { name => '../x' }] } }
            : $path =~ m{oepas1/agents$} ? { result => { agents => [{ agentId => 'Vk1', pid => '42', state => 'AVAILABLE' }] } }
            : $path =~ m{stacks}         ? { result => 'main.p at line 7' }
            :                              { url => '/web/x?pw=' . SECRET, httpSessionId => SECRET, numReserveABLSessionWaits => 9 });
    });
    my $r = ask($pas);
    my $e = evidence($r);
    like($e->{healthscanner}, qr{GET http://127\.0\.0\.1:$pas->{port}/health\?view=details\nHTTP 200 .*AgentWatch}s, 'HealthScanner');
    like($e->{oemanager}, qr{/oepas1/metrics\nHTTP 200.*numReserveABLSessionWaits.*/agents/Vk1/stacks\nHTTP 200.*line 7}s, 'oemanager');
    my $all = join '', values %$e;
    unlike($all, qr/${\SECRET}/, 'neither the password nor what it might tell');
    my @asked = map { /^GET (\S+)/mg } $pas->seen;
    is(scalar(grep { /\.\.|\s/ } @asked), 0, 'an odd name leads nowhere');
    my ($auth) = join('', $pas->seen) =~ m{^GET /oemanager.*?^Authorization: Basic (\S+)}ms;
    is($auth // '', 'b2VtOmh1bnRlcjI=', 'as whom it is asked');
    like(slurp($users), qr/\b65534\b/, 'not by root') if !$>;
    my @health = grep { m{GET /health} && /Authorization/i } $pas->seen;
    is(scalar @health, 0, 'the HealthScanner is not told the password');
    $pas->end;

    $pas = pas(sub { return $json . ('{"a":[' x 100000) . ('x' x (3 * MIB)) });
    $r = ask($pas);
    is($r->{code}, 0, 'megabytes of brackets');
    my $size = 0;
    $size += length for values %{ evidence($r) };
    cmp_ok($size, '<', 4 * MIB, 'do not become megabytes of evidence');
    $pas->end;

    $pas = pas(sub { return 30 });
    $r = ask($pas);
    is($r->{code}, 0, 'an instance that hangs');
    like(evidence($r)->{oemanager}, qr/no response within/, 'that is told');
    cmp_ok($r->{seconds}, '<', sanitized() ? 30 : 15, sprintf 'and not waited for (%.1f s)', $r->{seconds});
    $pas->end;

    $r = by_command('true', check => 'type = "pasoe";', port => (free_ports(1))[0]);
    like(evidence($r)->{oemanager}, qr/no connection: Connection refused/, 'one that is gone');
};

# ---- engines that are none

sub engine
{
    my ($answer) = @_;
    my $path = tmp('engine' . ++$tries . '.sock');
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 16) or die "$path: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $SIG{TERM} = 'DEFAULT';
        while (my $c = $listen->accept) {
            my $request = '';
            sysread $c, $request, 65536, length $request until $request =~ /\r\n\r\n/;
            my $bytes = $answer->($request);
            syswrite $c, $bytes if defined $bytes;
            sleep 60 unless defined $bytes;
        }
        POSIX::_exit(0);
    }
    return ($path, $pid);
}

sub with_engine
{
    my ($answer, $more) = @_;
    my ($path, $pid) = engine($answer);
    my $r = by_docker('pas1', qq(socket = "$path"; ) . ($more // ''));
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return $r;
}

sub says { return sprintf "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", $_[0], length $_[1], $_[1] }

subtest 'no Docker' => sub {
    failed_like(by_docker('pas1', 'socket = "/no/such.sock";'), qr{^there is no Docker socket /no/such\.sock$}, 'no socket');
    my ($path, $pid) = engine(sub { undef });
    kill 'KILL', $pid;
    waitpid $pid, 0;
    failed_like(by_docker('pas1', qq(socket = "$path";)), qr{^nothing listens at the Docker socket \Q$path\E$}, 'nobody');
    chmod 0, $path;
    # as root nothing is forbidden
    my $nobody = sub { if (!$>) { POSIX::setgid(65534); POSIX::setuid(65534) } };
    failed_like(by_docker('pas1', qq(socket = "$path";), before => $nobody),
        qr{^no permission for the Docker socket \Q$path\E$}, 'not allowed');
    failed_like(with_engine(sub { undef }, 'timeout = "2s";'), qr/no response within/, 'an engine that hangs');
    failed_like(with_engine(sub { says('404 Not Found', '{"message":"No such container: pas1"}') }),
        qr/^there is no container pas1$/, 'unknown');
    failed_like(with_engine(sub { $_[0] =~ /^POST/
              ? says('500 Server Error', '{"message":"Cannot restart container pas1: port is already allocated"}')
              : says('200 OK', '{"State":{"Running":true,"StartedAt":"t0"}}') }),
        qr/HTTP 500 .*: Cannot restart container pas1: port is already allocated/, 'its own words');
    failed_like(with_engine(sub { $_[0] =~ /^POST/ ? "HTTP/1.1 204 No Content\r\n\r\n"
              : says('200 OK', '[' x 200000) }, 'timeout = "2s";'), qr/does not describe a container/, 'garbage');
    failed_like(with_engine(sub { $_[0] =~ /^POST/ ? "HTTP/1.1 204 No Content\r\n\r\n"
              : says('200 OK', '{"State":{"Running":true,"StartedAt":"t0"}}') }, 'timeout = "2s";'),
        qr/has not been restarted/, 'an engine that lies');
    my $r = with_engine(sub { $_[0] =~ /^POST/ ? "HTTP/1.1 204 No Content\r\n\r\n" : says('403 Forbidden', 'no') });
    is($r->{code}, 0, 'a filter that lets restarts pass only');
    like($r->{text}, qr/its state cannot be read/, 'is believed, and told');
};

# ---- the real one

sub docker { return run_cmd('docker', @_) }

sub docker_ok
{
    my @args = @_;
    my ($rc, $out) = docker(@args);
    BAIL_OUT("docker @args: $out") if $rc;
    chomp $out;
    return $out;
}

sub image
{
    my ($suffix, @changes) = @_;
    my $tag = "$name-$suffix:1";
    push @images, $tag;
    my ($rc, $out) = run_cmd('sh', '-c', 'tar -C "$1" -cf - pas-httpbin | { shift; docker import "$@"; }', 'sh',
        tmp(), (map { ('--change', $_) } @changes), '-', $tag);
    BAIL_OUT("docker import: $out") if $rc;
    return $tag;
}

sub container
{
    my ($suffix, @args) = @_;
    push @containers, "$name-$suffix";
    docker_ok('run', '-d', '--name', "$name-$suffix", '-e', 'DB_PASSWORD=' . SECRET, @args);
    return "$name-$suffix";
}

sub started { return docker_ok('inspect', '-f', '{{.State.StartedAt}}', $_[0]) }

END {
    if (defined $owner && $owner == $$) {
        my $rc = $?;
        docker('rm', '-f', @containers) if @containers;
        docker('rmi', '-f', @images) if @images;
        $? = $rc;
    }
}

SKIP: {
    if ((docker('info'))[0]) {
        die "no docker, and nothing may skip in CI\n" if $ENV{CI};
        skip 'no docker here', 1;
    }
    my ($rc, $out) = run_cmd('sh', '-c', '"$1" -static -O1 -std=gnu11 -w -o "$2" docker/pas-httpbin/*.c', 'sh',
        $ENV{CC} || 'cc', tmp('pas-httpbin'));
    BAIL_OUT($out) if $rc;
    my $run     = 'CMD ["/pas-httpbin", "-b", "0.0.0.0"]';
    my $check   = 'HEALTHCHECK --interval=1s --timeout=2s --retries=1 CMD ["/pas-httpbin", ';
    my $plain   = image('plain', $run);
    my $healthy = image('healthy', $run, $check . '"-C", "mode=ok"]');
    my $sick    = image('sick', $run, $check . '"--bogus"]');

    subtest 'container' => sub {
        my $c = container('frozen', $plain);
        my $before = started($c);
        docker_ok('pause', $c);
        my $r = by_docker($c);
        is($r->{code}, 0, 'one that is frozen is restarted') or diag($r->{out});
        like($r->{text}, qr/^container \Q$c\E was restarted in [\d.]+ s, it runs$/, 'told');
        isnt(started($c), $before, 'really');
        my $e = evidence($r);
        like($e->{'container.log'}, qr/^20\S+Z ready port=8810/m, 'its log');
        my $state = decode_json($e->{'inspect.json'})->{State};
        ok($state->{Paused}, 'its state before');
        like($e->{'action.log'}, qr/^POST .*restart\?t=1: HTTP 204 after/m, 'what was done');
        unlike(join('', values %$e), qr/${\SECRET}/, 'its environment is not kept');

        $c = container('healthy', $healthy);
        $r = by_docker($c);
        is($r->{code}, 0, 'one with a check');
        like($r->{text}, qr/it is healthy$/, 'is waited for until it is healthy') or diag($r->{out});
        $c = container('sick', $sick);
        failed_like(by_docker($c, 'timeout = "5s";'),
            qr/is not back after 5\.0 s: it runs, but is (?:un|not )healthy/, 'one that stays unhealthy');
        failed_like(by_docker("$name-none"), qr/^there is no container \Q$name-none\E$/, 'no such container');

        $c = container('ends', $plain, '/pas-httpbin', '--bogus');
        failed_like(by_docker($c), qr/was started and ended with exit code [1-9]/, 'one that ends');
        $c = container('loop', '--restart', 'always', $plain, '/pas-httpbin', '--bogus');
        failed_like(by_docker($c), qr/ended with exit code [1-9]|being started again(?:, with exit code [1-9]\d*)?$/, 'one that ends for ever');
        $c = container('tty', '-t', $plain);
        like(evidence(by_docker($c))->{'container.log'}, qr/^20\S+Z ready port=8810/m, 'the log of a terminal');
    };

    subtest 'compose.heal.yml' => sub {
        my @compose = grep { !system "$_ version >/dev/null 2>&1" } 'docker compose', 'docker-compose';
        plan skip_all => 'no compose here' unless @compose || $ENV{CI};
        local $ENV{DOCKER_GID} = 999;
        my ($code, $said) = run_cmd(split(' ', $compose[0]), qw(-f docker-compose.yml -f docker/compose.heal.yml config -q));
        is($code, 0, 'compose takes it') or diag($said);
        local $ENV{DOMAIN} = 'localhost';
        ($code, $said) = run_cmd(PasGate::binary(), 'check', '-c', 'docker/heal.conf');
        is($code, 0, 'and pasgate its configuration') or diag($said);
    };

    subtest 'pasgate restart' => sub {
        my ($port) = free_ports(1);
        my $c = container('pas1', '-p', "127.0.0.1:$port:8810", $plain);
        ok(wait_for { eval { PasGate::Conn->new($port)->request('GET', '/web/get')->{status} == 200 } }, 'it serves');
        my $gate = PasGate->new(
            workers  => 2,
            backends => [{ name => 'pas1', port => $port, restart => qq({ docker = "$c"; stop_timeout = "1s"; }) },
                PasGate::StandIn->new('pas2')],
            check => 'type = "http"; path = "/web/get"; interval = "250ms"; fast_interval = "100ms"; '
              . 'down_interval = "100ms"; timeout = "1s"; rise = 1; fall = 2;',
            pool => 'slow_start = "1s"; heal = { after = "500ms"; };',
        );
        ok($gate->wait_health($_, 'up'), "$_ is up") for qw(pas1 pas2);
        $gate->get("/pas/$_") for map { ("get?token=${\SECRET}", "get;jsessionid=${\SECRET}") } 1 .. 10;
        my $before = started($c);
        my ($code, $said) = $gate->cli('restart', 'pas1', '--wait');
        is($code, 0, 'pasgate restart --wait') or diag($said, $gate->log_text);
        isnt(started($c), $before, 'the container was restarted');
        my ($folder) = glob "$gate->{dir}/store*/incidents/* $gate->{dir}/store/state/incidents/*";
        my $e = evidence({ folder => $folder // '/none' });
        my @lines = grep { !/^#/ } split /\n/, $e->{exchanges} // '';
        cmp_ok(scalar @lines, '>=', 5, 'its last exchanges are kept') or diag(explain($e));
        like($lines[0] // '', qr{^\S+Z  GET /pas/get  200 200  done done  \d+ \d+  1  [0-9a-f]{32}$}, 'so');
        unlike(join('', values %$e), qr/${\SECRET}/, 'and no secret');

        # Nobody asks for this one.
        my $heals = sub { my (undef, $out) = $gate->cli('why', 'pas1'); my @h = $out =~ /slowstart\s+-> none/g; scalar @h };
        ok(wait_for { $heals->() == 1 }, 'back at its full weight');
        my $load = PasGate::Load->new($gate, clients => 2, pause => 0.02);
        $before = started($c);
        run_cmd('docker', 'pause', $c);
        ok(wait_for(sub { $heals->() == 2 }, 60), 'a frozen container is found, restarted and let in again')
          or diag(($gate->cli('why', 'pas1'))[1]);
        isnt(started($c), $before, 'by the engine');
        $load->stop_ok('and no request failed');
        $gate->stop_ok;
    };
}

done_testing;
