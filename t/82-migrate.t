# The day of moving from another balancer: its sessions, and ACME clients that run behind us.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas = map {
    my $id = "pas$_";
    PasGate::Scripted->new(id => $id, reply => sub {
        my ($request) = @_;
        my $text = $request =~ m{/acme-challenge/(\S+)} ? "$1 by $id" : "$id " . ($request =~ /^Cookie: (.*?)\r$/m ? $1 : '');
        my $new = $request =~ m{ /login} ? "Set-Cookie: JSESSIONID=FRESH.jvm9; Path=/\r\n" : '';
        return "HTTP/1.1 200 OK\r\n${new}Content-Length: " . length($text) . "\r\n\r\n$text";
    });
} 1 .. 3;
sub gate
{
    my (%opt) = @_;
    my @route = @{ delete $opt{jvm} // [] };
    return PasGate->new(probe => '/', pool => 'balance = "roundrobin";', routes => '{ path = "/"; pool = "pas"; }',
        backends => [map { { name => $pas[$_]{id}, port => $pas[$_]{port}, ($route[$_] ? (route => qq("$route[$_]")) : ()) } } 0 .. 2], %opt);
}

# Where requests with that cookie go, each instance once.
sub where
{
    my ($gate, $cookie, $target) = @_;
    my %at;
    for (1 .. 6) {
        my $r = $gate->get($target // '/x', headers => [$cookie ? ['Cookie', $cookie] : ()]);
        $at{$1}++ if $r->{body} =~ /^(\w+)/;
    }
    return join ' ', sort keys %at;
}

my $all = 'pas1 pas2 pas3';

subtest 'a jvmRoute that names one instance' => sub {
    my $gate = gate(jvm => [undef, 'jvm2', 'pool.jvm3']);
    is where($gate, ''), $all, 'without a session: anywhere';
    is where($gate, 'JSESSIONID=0A1B.jvm2'), 'pas2', 'by its route';
    is where($gate, 'JSESSIONID=0A1B.pas1'), 'pas1', 'by its name';
    is where($gate, 'JSESSIONID=0A1B.pool.jvm3'), 'pas3', 'with a dot in it';
    is where($gate, '', '/x;jsessionid=0A1B.jvm2'), 'pas2', 'in a path';
    is where($gate, 'JSESSIONID=0A1B.other'), $all, 'a stranger: anywhere';
    is where($gate, 'JSESSIONID=0A1B'), $all, 'no route: anywhere';
    like $gate->get('/x', headers => [['Cookie', 'JSESSIONID=0A1B.jvm2']])->{body}, qr/JSESSIONID=0A1B\.jvm2$/, 'it is passed on as it is';
    my $r = $gate->get('/login');
    my ($at) = $r->{body} =~ /^(\w+)/;
    my ($tagged) = $r->{h}{'set-cookie'} =~ /JSESSIONID=([^;]+)/;
    like $tagged, qr/^FRESH\.jvm9~/, 'a new one gets its tag';
    my $other = $at eq 'pas2' ? 'pas1' : 'jvm2';
    is where($gate, "JSESSIONID=0A1B.$other; JSESSIONID=$tagged"), $at, 'which goes before a route';
    is where($gate, "JSESSIONID=$tagged; JSESSIONID=0A1B.$other"), $at, 'in any order';
    $gate->stop_ok;
};

subtest 'one that names several is no help' => sub {
    my $gate = gate(jvm => ['as-pas', 'as-pas', 'jvm3']);
    is where($gate, 'JSESSIONID=0A1B.as-pas'), $all, 'anywhere';
    is where($gate, 'JSESSIONID=0A1B.jvm3'), 'pas3', 'but the unique one';
    $gate->stop_ok;
};

subtest 'ACME clients behind us' => sub {
    my $redirect = free_port();
    my $listen = qq({ address = "127.0.0.1:$redirect"; redirect = "https"; });
    my $challenge = '/.well-known/acme-challenge/';
    my $gate = gate(listen => $listen);
    for my $port ($gate->{plain}, $redirect) {
        like $gate->get("${challenge}tok-1", plain => 1, port => $port)->{body}, qr/^tok-1 by pas/, 'no certificate by ACME: passed on';
    }
    is $gate->get("${challenge}tok-1", plain => 1, port => $gate->{status_port})->{status}, 404, 'but not by the status listener';
    $gate->stop_ok;
    my ($chain, $key) = make_cert('both', 'localhost');
    $gate = gate(listen => $listen,
        certs => qq({ names = [ "localhost" ]; chain = "$chain"; key = "$key"; }, { names = [ "shop.test" ]; acme = true; }),
        global => 'acme = { directory = "https://127.0.0.1:1/dir"; email = "ops@shop.test"; agree_tos = true; store = "' . tmp('store') . '"; };',
        routes => '{ path = "/"; pool = "pas"; }, { host = "passes.test"; path = "/"; pool = "pas"; acme_passthrough = true; }');
    for my $port ($gate->{plain}, $redirect) {
        is $gate->get("${challenge}tok-2", plain => 1, port => $port, host => 'shop.test')->{status}, 404, 'what we order is ours';
        like $gate->get("${challenge}tok-2", plain => 1, port => $port, host => 'passes.test')->{body}, qr/^tok-2 by pas/,
          'where the route says so it is passed on';
    }
    is $gate->get('/x', plain => 1, port => $redirect, host => 'passes.test')->{status}, 301, 'all else is redirected';
    $gate->stop_ok;
};

done_testing;
