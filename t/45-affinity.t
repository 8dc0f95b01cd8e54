# Affinity: who has a session stays at its instance, over all workers, reloads, crashes and
# restarts; whose instance is gone gets another one; nobody can choose one.
use strict;
use warnings;
use List::Util qw(shuffle);
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

use constant { WORKERS => 2, SESSIONS => 500, RELOADS => 20 };

my $tag = qr/~[\w-]{16}/;
my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;

sub gate
{
    my (%opt) = @_;
    my $gate = PasGate->new(workers => WORKERS, backends => \@pas, %opt);
    ok $gate->wait_health($_->{id} // $_->{name}, 'up'), ($_->{id} // $_->{name}) . ' is up'
      for @{ $gate->{backends} };
    return $gate;
}

# Connections that are used in turn, so that every worker gets its share; one that the server
# closed is opened anew.
sub ring { return { gate => $_[0], conns => [], n => 0 } }

sub ask
{
    my ($ring, $target, @headers) = @_;
    for my $try (1 .. 10) {    # a worker that crashed may have had all eight
        my $i = $ring->{n}++ % 8;
        my $c = $ring->{conns}[$i] //= $ring->{gate}->connect(plain => 1);
        my $r = $c->request('GET', $target, headers => \@headers);
        undef $ring->{conns}[$i] if !$r->{status} || ($r->{h}{connection} // '') =~ /close/;
        return $r if $r->{status};
    }
    return { status => 0, h => {}, body => '' };
}

# The cookie of that name that an answer sets, and its attributes.
sub cookie_of
{
    my ($r, $name) = @_;
    for (map { $_->[1] } grep { lc $_->[0] eq 'set-cookie' } @{ $r->{fields} // [] }) {
        return ($1, $2) if /^\Q$name\E=([^;]*)(.*)/;
    }
    return;
}

# A browser's step: sends its session's cookie, keeps a new one.
sub step
{
    my ($ring, $s) = @_;
    my $r = ask($ring, '/pas/session', $s->{cookie} ? ['Cookie', "theme=dark; JSESSIONID=$s->{cookie}; x=1"] : ());
    my ($fresh) = cookie_of($r, 'JSESSIONID');
    $s->{cookie} = $fresh if defined $fresh;
    $s->{at} = $r->{h}{'x-instance'} // "status $r->{status}";
    $s->{new} = $r->{body} =~ /"new": true/;
    return $r;
}

# How many of these sessions changed their instance, or lost what it knew of them, in one step each.
sub strayed
{
    my ($ring, @sessions) = @_;
    my $n = 0;
    for my $s (@sessions) {
        my $was = $s->{at};
        step($ring, $s);
        $n++ if $s->{at} ne $was || $s->{new};
    }
    return $n;
}

sub counts { my %n; $n{ $_->{at} }++ for @_; return \%n }

subtest 'five hundred sessions' => sub {
    my $gate = gate(pool => 'balance = "roundrobin";');
    my $ring = ring($gate);
    my @s = map { {} } 1 .. SESSIONS;
    step($ring, $_) for @s;
    is scalar(grep { $_->{cookie} =~ /^[0-9A-F]{32}\.as-pas$tag\z/ } @s), SESSIONS, 'each got a session, with our tag';
    is scalar(grep { $_ > SESSIONS / 5 } values %{ counts(@s) }), 3, 'all instances have their share';
    is strayed($ring, shuffle @s), 0, 'each comes back to its own';

    my ($stray, $reloads) = (0, 0);
    for my $i (1 .. RELOADS) {
        my ($code) = $gate->cli('reload');
        $reloads++ if $code == 0;
        $stray += strayed($ring, @s[map { ($_ * RELOADS + $i) % SESSIONS } 1 .. SESSIONS / RELOADS]);
    }
    is "$reloads $stray", RELOADS . ' 0', 'and through twenty reloads';

    my ($victim) = $gate->workers;
    kill 'KILL', $victim;
    is strayed($ring, shuffle @s), 0, 'and when a worker crashes';

    my ($code) = $gate->cli('drain', 'pas2');
    is $code, 0, 'pas2 is drained';
    is strayed($ring, @s), 0, 'its sessions stay';
    my @new = map { {} } 1 .. 60;
    step($ring, $_) for @new;
    is_deeply [sort keys %{ counts(@new) }], ['pas1', 'pas3'], 'new ones go elsewhere';
    $gate->cli('ready', 'pas2');

    my @of1 = grep { $_->{at} eq 'pas1' } @s;
    my @others = grep { $_->{at} ne 'pas1' } @s;
    $pas[0]->kill;
    my @r = map { step($ring, $_) } @of1;
    is scalar(grep { $_->{status} != 200 } @r), 0, 'an instance is killed: no session sees an error';
    is scalar(grep { $_->{at} eq 'pas1' || !$_->{new} } @of1), 0, 'its sessions are new ones elsewhere';
    is strayed($ring, @others), 0, 'those of the others stay';
    is strayed($ring, @of1), 0, 'the moved ones stay where they are now';
    $pas[0]->start;
    ok $gate->wait_health('pas1', 'up'), 'it comes back';
    is strayed($ring, @of1, @others), 0, 'and still';

    $gate->stop_ok;
    my ($line) = grep { ($_->{sticky} // 0) } $gate->access;
    ok $line, 'the access log tells that affinity chose';
    my ($key) = glob "$gate->{dir}/store*/affinity.key $gate->{dir}/store/state/affinity.key";
    is sprintf('%o %d %d', (stat $key)[2] & 07777, (stat _)[4, 7]), "600 $> 32", 'the key is for the supervisor only';
    $gate->start;
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up after a restart" for @pas;
    is strayed(ring($gate), shuffle @s), 0, 'the service was restarted: all are where they were';
    $gate->stop_ok;
};

# Backends that tell their names, and keep all that they see.
my $logins = 0;

sub named
{
    my ($name) = @_;
    return PasGate::Scripted->new(id => $name, reply => sub {
        my ($request, $conn, $count) = @_;
        my ($target) = $request =~ /^\S+ (\S+)/;
        my @more;
        my $id = sprintf '%s%08X%04X.as-pas', uc $name, $$, $count;
        push @more, "Set-Cookie: JSESSIONID=$id; Path=/web; HttpOnly; SameSite=None; Priority=High" if $target =~ /login/;
        push @more, qq(Set-Cookie: JSESSIONID="$id";path=/web) if $target =~ /quoted/;
        push @more, 'Set-Cookie: JSESSIONID=; Max-Age=0' if $target =~ /logout/;
        push @more, "Location: /web/next;jsessionid=$id?a=;jsessionid=1", "Set-Cookie: other=1" if $target =~ /link/;
        push @more, "Location: http://elsewhere.test/;jsessionid=$id" if $target =~ /away/;
        return join "\r\n", 'HTTP/1.1 200 OK', 'Content-Length: ' . length $name, @more, '', $name;
    });
}

sub seen_all { return join '', map { $_->seen } @_ }

my @raw = map { named("b$_") } 1 .. 2;

subtest 'what the backend and the client see' => sub {
    my $gate = gate(backends => \@raw, pool => 'balance = "roundrobin";', probe => '/pas/x');
    my $r = $gate->get('/pas/login');
    my ($value, $attributes) = cookie_of($r, 'JSESSIONID');
    my ($bare) = $value =~ /^(B\d[0-9A-F]+\.as-pas)$tag\z/;
    ok $bare, 'a session gets a tag';
    is $attributes, '; Path=/pas; HttpOnly; SameSite=None; Priority=High', 'its attributes stay';
    my $home = $r->{body};
    my ($own) = grep { $_->{id} eq $home } @raw;
    my $look = sub {
        my ($target, @cookies) = @_;
        $_->clear for @raw;
        my @r = map { $gate->get($target, headers => [map { ['Cookie', $_] } @cookies]) } 1 .. 4;
        return (scalar(grep { $_->{body} eq $home } @r), seen_all(@raw));
    };
    for my $c ("JSESSIONID=%s", "JSESSIONID=\"%s\"", "a=1; JSESSIONID=%s; b=2", "a=1;JSESSIONID =\t%s ;b=\"~\"",
        "JSESSIONID=other.as-pas; JSESSIONID=%s", "JSESSIONID=%s; JSESSIONID=other.as-pas") {
        my ($n, $seen) = $look->('/pas/x', sprintf $c, $value);
        is $n, 4, 'comes home: ' . sprintf $c, '...';
        like $seen, qr/\r\nCookie: \Q@{[sprintf $c, $bare]}\E\r\n/, 'the backend sees its own value';
        unlike $seen, qr/$tag/, 'and nothing of the tag';
    }
    my ($n, $seen) = $look->('/pas/x', 'a=1', "JSESSIONID=$value", 'c=3');
    is $n, 4, 'in a field of its own';
    like $seen, qr/\r\nCookie: a=1; JSESSIONID=\Q$bare\E; c=3\r\n/, 'likewise';
    ($n, $seen) = $look->("/pas/x;jsessionid=$value;b=2/y?q=;jsessionid=$value");
    is $n, 4, 'in the path';
    like $seen, qr{^GET /web/x;jsessionid=\Q$bare\E;b=2/y\?q=;jsessionid=\Q$value\E HTTP}m, 'taken off there, not in a query';
    ($n, $seen) = $look->('/pas/x;jsessionid=' . $value =~ s/~/%7E/r);
    is $n, 4, 'an encoded tilde';

    my ($quoted) = cookie_of($gate->get('/pas/quoted'), 'JSESSIONID');
    like $quoted, qr/^"B\d[0-9A-F]+\.as-pas$tag"\z/, 'a quoted value gets it inside';
    is_deeply [cookie_of($gate->get('/pas/logout'), 'JSESSIONID')], ['', '; Max-Age=0'], 'one that is taken back gets none';
    $r = $gate->get('/pas/link');
    like $r->{h}{location}, qr{^/pas/next;jsessionid=B\d[0-9A-F]+\.as-pas$tag\?a=;jsessionid=1\z}, 'a session in Location does, too';
    is $r->{h}{'set-cookie'}, 'other=1', 'another cookie does not';
    unlike $gate->get('/pas/away')->{h}{location}, $tag, 'nor somebody else\'s Location';
    my ($path, $body) = ($gate->get('/pas/link')->{h}{location} =~ m{^([^?]*)}, '');
    my %at;
    $at{ $gate->get($path)->{body} }++ for 1 .. 6;
    is scalar keys %at, 1, 'and it leads home';

    for my $c ("$bare~AAAAAAAAAAAAAAAA", "x$value", $value =~ s/.\z/$& eq 'A' ? 'B' : 'A'/er, "$value~", 'zzz' . substr($value, -17), '~' x 400, "\"") {
        my ($n, $seen) = $look->('/pas/x', "JSESSIONID=$c");
        ok $n < 4, 'forged: leads nowhere: ' . substr $c, 0, 60;
        like $seen, qr/\r\nCookie: JSESSIONID=\Q$c\E\r\n/, 'and is passed on as it is';
    }
    $gate->write_config(backends => [grep { $_->{id} ne $home } @raw]);
    is + ($gate->cli('reload'))[0], 0, 'the instance is removed';
    ($n, $seen) = $look->('/pas/x', "JSESSIONID=$value");
    is $n, 0, 'another one serves its session';
    like $seen, qr/Cookie: JSESSIONID=\Q$bare\E\r\n/, 'without the tag';
    $gate->stop_ok;
};

subtest 'a full instance' => sub {
    my $gate = gate(backends => [@pas[0, 1]], workers => WORKERS,
        pool => 'max_in_flight = 1; queue = { size = 50; timeout = "20s"; };');
    my %at;    # sessions by instance
    until (keys %at == 2) { my $s = {}; step(ring($gate), $s); $at{ $s->{at} } = $s }
    my @cookie = map { ['Cookie', "JSESSIONID=$at{$_}{cookie}"] } 'pas1', 'pas2';
    my @busy = map { $gate->connect(timeout => 60) } 1 .. 6;
    my $began = time;
    $_->write($_->build('GET', '/pas/delay?ms=400', close => 1, headers => [$cookie[0]])) for @busy;
    ok +(wait_for { my ($b) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} }; $b->{queued} >= 4 }), 'requests of one session wait';
    my @others = map { $gate->get('/pas/get', headers => [$cookie[1]])->{h}{'x-instance'} // 'none' } 1 .. 10;
    my @none = map { $gate->get('/pas/get')->{h}{'x-instance'} // 'none' } 1 .. 10;
    my $took = time - $began;
    my @r = map { $_->response('GET') } @busy;
    is scalar(grep { $_ eq 'pas2' } @others), 10, 'another instance\'s sessions pass them';
    is scalar(grep { $_ eq 'pas2' } @none), 10, 'and those without one, which leave them the place';
    ok $took < time - $began, 'before they are through';
    is_deeply [map { "$_->{status} " . ($_->{h}{'x-instance'} // '') } @r], [('200 pas1') x 6], 'they got what they waited for';

    @busy = map { $gate->connect(timeout => 60) } 1 .. 4;
    $_->write($_->build('GET', '/pas/delay?ms=3000', close => 1, headers => [$cookie[0]])) for @busy;
    wait_for { my ($b) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} }; $b->{queued} >= 3 };
    $pas[0]->kill;
    @r = map { $_->response('GET') } @busy;
    is_deeply [map { "$_->{status} " . ($_->{h}{'x-instance'} // '') } @r], [('200 pas2') x 4], 'what waits at one that dies goes elsewhere';
    $pas[0]->start;
    $gate->stop_ok;
};

subtest 'by route' => sub {
    my $gate = gate(pool => 'balance = "roundrobin"; sticky = "route";', probe => '/pas/x',
        backends => [{ name => 'b1', port => $raw[0]{port}, route => '"first.one"' }, { name => 'b2', port => $raw[1]{port} }]);
    $_->clear for @raw;
    for (['JSESSIONID=1A.first.one', 'b1'], ['JSESSIONID=1A.b2', 'b2'], ['x=1; JSESSIONID="1A.2B.b2"', 'b2']) {
        my ($cookie, $want) = @$_;
        is_deeply [map { $gate->get('/pas/x', headers => [['Cookie', $cookie]])->{body} } 1 .. 4], [($want) x 4], $cookie;
        like seen_all(@raw), qr/\r\nCookie: \Q$cookie\E\r\n/, 'passed on as it is';
    }
    is_deeply [map { $gate->get("/pas/x;jsessionid=1.$_")->{body} } qw(b2 b2 first.one first.one)], [qw(b2 b2 b1 b1)], 'in the path';
    my %at;
    $at{ $gate->get('/pas/x', headers => [['Cookie', 'JSESSIONID=1A.b9']])->{body} }++ for 1 .. 4;
    is_deeply [sort keys %at], ['b1', 'b2'], 'an unknown route: any';
    unlike +(cookie_of($gate->get('/pas/login'), 'JSESSIONID'))[0], $tag, 'no tags';
    $gate->stop_ok;
};

subtest 'by a cookie of our own' => sub {
    my $gate = gate(backends => \@raw, pool => 'balance = "roundrobin"; sticky = "cookie";', probe => '/pas/x');
    my $r = $gate->get('/pas/login');
    my ($value, $attributes) = cookie_of($r, 'PASGATE_pas');
    like $value, qr/^[\w-]{16}\z/, 'it is set';
    is $attributes, '; Path=/; HttpOnly; Secure; SameSite=Lax', 'for TLS only, and not for scripts';
    unlike +(cookie_of($r, 'JSESSIONID'))[0], $tag, 'no tags';
    is +(cookie_of($gate->get('/pas/x', plain => 1), 'PASGATE_pas'))[1], '; Path=/; HttpOnly; SameSite=Lax', 'without TLS it cannot be for TLS only';
    for ("PASGATE_pas=$value", "PASGATE_pas=$value; a=1", "a=1; PASGATE_pas=$value", "a=1; PASGATE_pas=$value; b=2") {
        $_->clear for @raw;
        my @r = map { $gate->get('/pas/x', headers => [['Cookie', $_]]) } ($_) x 4;
        is scalar(grep { $_->{body} eq $r->{body} } @r), 4, "comes home: $_";
        is scalar(grep { defined cookie_of($_, 'PASGATE_pas') } @r), 0, 'and is not set again';
        my $left = join '; ', grep { !/PASGATE/ } split /; /;
        unlike seen_all(@raw), qr/PASGATE/, 'the backend does not see it';
        is_deeply [seen_all(@raw) =~ /^Cookie: (.*)\r$/mg], [$left ? ($left) x 4 : ()], 'but all else';
    }
    my @r = map { $gate->get('/pas/x', headers => [['Cookie', 'PASGATE_pas=' . 'A' x 16]]) } 1 .. 4;
    my %at = map { $_->{body} => 1 } @r;
    is scalar keys %at, 2, 'a forged one leads nowhere';
    is scalar(grep { defined cookie_of($_, 'PASGATE_pas') } @r), 4, 'and is replaced';
    $gate->stop_ok;
};

subtest 'not at all' => sub {
    my $gate = gate(backends => \@raw, pool => 'balance = "roundrobin"; sticky = "none";', probe => '/pas/x');
    unlike +(cookie_of($gate->get('/pas/login'), 'JSESSIONID'))[0], $tag, 'no tags';
    my %at;
    $at{ $gate->get('/pas/x', headers => [['Cookie', 'JSESSIONID=1.b1']])->{body} }++ for 1 .. 4;
    is_deeply [sort keys %at], ['b1', 'b2'], 'nobody comes home';
    $gate->stop_ok;
};

subtest 'APSV' => sub {
    my $gate = gate(pool => 'balance = "roundrobin";', routes => '{ path = "/apsv"; pool = "pas"; }, { path = "/pas"; pool = "pas"; upstream_path = "/web"; }');
    my $post = sub {
        my ($target, @headers) = @_;
        my $r = $gate->request('POST', $target, plain => 1, body => 'x',
            headers => [['Content-Type', 'application/octet-stream'], @headers]);
        return { status => $r->{status}, at => $r->{h}{'x-instance'} // '', handle => $r->{h}{connhdl},
            cookie => (cookie_of($r, 'JSESSIONID'))[0] };
    };
    my @c = map { $post->('/apsv', ['CONNHDL', '0']) } 1 .. 40;
    is scalar(grep { $_ } values %{ counts(@c) }), 3, 'connections go everywhere';
    my $wrong = sub {
        my ($how) = @_;
        return scalar grep { my $r = $how->($_); $r->{status} != 200 || $r->{at} ne $_->{at} } shuffle @c;
    };
    is $wrong->(sub { $post->('/apsv', ['CONNHDL', $_[0]{handle}]) }), 0, 'a handle in a header comes home, without a cookie';
    is $wrong->(sub { $post->("/apsv?CONNHDL=$_[0]{handle}") }), 0, 'or in the query';
    is $wrong->(sub { $post->('/apsv', ['Cookie', "JSESSIONID=$_[0]{cookie}"], ['CONNHDL', $_[0]{handle}]) }), 0, 'or with a session';
    kill 'KILL', $gate->workers;
    wait_for { eval { $gate->get('/pas/get', plain => 1)->{status} == 200 } };
    is $wrong->(sub { $post->('/apsv', ['CONNHDL', $_[0]{handle}]) }), 0, 'when all workers have crashed';
    $gate->cli('reload');
    is $wrong->(sub { $post->('/apsv', ['CONNHDL', $_[0]{handle}]) }), 0, 'after a reload';
    $gate->stop_ok;
};

done_testing;
