# Who may come in by address: lists of clients of listeners and routes, also behind a trusted
# load balancer, and what is counted and logged.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my ($closed, $status, $balanced) = free_ports(3);
my $gate = PasGate->new(
    backends => [$pas],
    global => 'trusted = [ "127.0.9.0/24" ];',
    listen => qq({ address = "127.0.0.1:$closed"; clients = [ "deny 127.0.0.3", "allow 127.0.0.0/29" ]; },)
      . qq( { address = "127.0.0.1:$status"; serve = "status"; clients = "allow 127.0.0.1"; },)
      . qq( { address = "127.0.0.1:$balanced"; clients = [ "deny 192.0.2.0/24" ]; }),
    routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }, { path = "/"; pool = "pas"; upstream_path = "/web/get"; },'
      . ' { path = "/inner"; pool = "pas"; upstream_path = "/web/get"; clients = [ "deny 10.1.0.0/16", "allow 10.0.0.0/8", "allow 127.0.0.1" ]; }');

# Sends a request from this address; the status, or 0: closed without a byte.
sub from
{
    my ($address, $port, $target, @fields) = @_;
    my $sock = IO::Socket::INET->new(LocalAddr => $address, PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => DEADLINE) or return -1;
    local $SIG{PIPE} = 'IGNORE';
    print {$sock} join "\r\n", "GET $target HTTP/1.1", 'Host: localhost', 'Connection: close', @fields, '', '';
    my $all = '';
    1 while sysread $sock, $all, 65536, length $all;
    return $all =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}
sub total { return $gate->status->{totals}{ $_[0] } }

subtest 'a listener' => sub {
    is from('127.0.0.2', $closed, '/pas/get'), 200, 'an address that is allowed';
    is from('127.0.0.3', $closed, '/pas/get'), 0, 'one that is denied before: closed';
    is from('127.0.0.9', $closed, '/pas/get'), 0, 'one that no entry has: closed, because others are allowed';
    ok wait_for { total('connections_denied') == 2 }, 'they are counted';
    ok $gate->wait_log(qr/connections to 127\.0\.0\.1:$closed closed, such as from 127\.0\.0\.3: clients/), 'and logged';
    is +(() = $gate->log_text =~ /clients of that listener does not admit/g), 1, 'once';
    is from('127.0.0.1', $status, '/status.json'), 200, 'the status listener for the one that is allowed';
    is from('127.0.0.2', $status, '/status.json'), 0, 'and for nobody else';
};

subtest 'a route' => sub {
    is from('127.0.0.1', $gate->{plain}, '/inner'), 200, 'an address that is allowed';
    is from('127.0.0.2', $gate->{plain}, '/inner'), 403, 'another one: 403';
    is from('127.0.0.2', $gate->{plain}, '/pas/get'), 200, 'the other route takes it';
    is from('127.0.0.2', $gate->{plain}, '/x/../inner/y'), 403, 'in another spelling, too';
    is from('127.0.0.2', $gate->{plain}, '/inner', 'X-Forwarded-For: 127.0.0.1'), 403, 'what it says about itself is not believed';
    ok wait_for { total('requests_denied') == 3 }, 'they are counted';
    my $line = wait_for { (grep { $_->{status} == 403 && ($_->{client} // '') =~ /^127\.0\.0\.2/ } $gate->access)[0] };
    like $line->{detail}, qr/does not admit this client/, 'the access log says why';
    ok $gate->wait_log(qr{requests for route /inner refused, such as from 127\.0\.0\.2}), 'and the log';
};

subtest 'behind a trusted load balancer' => sub {
    my $lb = '127.0.9.1';
    is from($lb, $gate->{plain}, '/inner', 'X-Forwarded-For: 10.2.0.1'), 200, 'its client decides: allowed';
    is from($lb, $gate->{plain}, '/inner', 'X-Forwarded-For: 10.1.0.1'), 403, 'denied';
    is from($lb, $gate->{plain}, '/inner', 'X-Forwarded-For: 10.2.0.1, 192.0.2.1'), 403, 'not what the client itself sent';
    is from($lb, $gate->{plain}, '/inner', 'Forwarded: for=10.2.0.1'), 200, 'Forwarded';
    is from($lb, $balanced, '/pas/get', 'X-Forwarded-For: 192.0.2.1'), 403, 'a listener: 403, too';
    is from($lb, $balanced, '/pas/get', 'X-Forwarded-For: 192.0.3.1'), 200, 'and another client is served';
    is from($lb, $closed, '/pas/get', 'X-Forwarded-For: 127.0.0.2'), 200, 'though the balancer itself is not allowed';
    is from($lb, $closed, '/pas/get'), 403, 'without a client it is asked for by its own address';
};

subtest 'a reload' => sub {
    (my $text = slurp($gate->{conf})) =~ s/"deny 127\.0\.0\.3", /"deny 127.0.0.2", /;
    spew($gate->{conf}, $text);
    $gate->signal('HUP');
    ok wait_for { from('127.0.0.2', $closed, '/pas/get') == 0 }, 'takes another list';
    is from('127.0.0.3', $closed, '/pas/get'), 200, 'in both directions';
    like $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body},
      qr/^pasgate_connections_denied_total [3-9]/m, 'the metric goes on';
};

subtest 'what check says' => sub {
    my $file = "$gate->{dir}/odd.conf";
    spew($file, qq(listen = ( { address = "127.0.0.1:80"; clients = [ "allow 10.0.0.0/8", "deny 10.1.0.0/16" ]; } );\n)
      . qq(certificates = ( { names = "a.example.com"; } );\nacme = { email = "a\@example.com"; agree_tos = true; store = "$gate->{dir}/s"; };\n)
      . qq(pools = ( { name = "a"; backends = "h:1"; } );\n));
    my ($code, $said) = run_cmd(PasGate::binary(), 'check', '-c', $file);
    is $code, 0, 'it is allowed' or diag $said;
    like $said, qr/"deny 10\.1\.0\.0\/16" has no effect, because "allow 10\.0\.0\.0\/8" comes first/, 'an entry without effect';
    like $said, qr/listen\.clients: the CA asks for http-01 challenges at port 80/, 'a CA that is shut out';
};

$gate->stop_ok;
done_testing;
