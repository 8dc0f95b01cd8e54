#!/usr/bin/perl
# Backends at unix sockets: requests, bodies, WebSockets and checks go through them; one that refuses,
# is missing or may not be entered is a failed connection like any other, and others serve.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my @relay = map { PasGate::Relay->new($_, socket => tmp("$_->{id}.sock")) } @pas;
chmod 0755, tmp('.');
my $gate = PasGate->new(backends => \@relay, pool => 'sticky = "none"; balance = "roundrobin";',
    check => 'type = "http"; path = "/web/get"; interval = "200ms"; fast_interval = "100ms"; '
      . 'down_interval = "200ms"; rise = 1; fall = 2;');

ok $gate->wait_health($_, 'UP'), "$_ is found up through its socket" for qw(pas1 pas2);
my @r = map { $gate->get('/pas/get') } 1 .. 6;
is "@{[ map { $_->{status} } @r ]}", '200 200 200 200 200 200', 'requests are served';
ok wait_for { (grep { $_->{completed} } @{ $gate->status->{backends} }) == 2 }, '  by both';

my $big = 'x' x (3 << 20);
my $r = $gate->request('POST', '/pas/upload', body => $big);
is $r->{status}, 200, 'a body of 3 MiB goes there';
like $r->{body}, qr/\b3145728\b/, '  complete';
is length $gate->get('/pas/bytes?n=3000000')->{body}, 3_000_000, 'and one of 3 MB comes back';

my ($row) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} };
is $row->{host}, 'unix:' . $relay[0]{socket}, 'the status names the socket';
is $row->{address}, $relay[0]{socket}, '  as its address, too';
my ($code, $out) = $gate->cli('status');
like $out, qr/pas1 +pas +unix:/, 'and so does the table';
unlike $out, qr/sock:0/, '  without a port';
($code, $out) = $gate->cli('why', 'pas1');
like $out, qr/\(unix:\S+\.sock in pool pas\)/, 'and why';

$relay[0]->kill('KILL');
my @status = map { $gate->get('/pas/get')->{status} } 1 .. 6;
is "@status", '200 200 200 200 200 200', 'one refuses: no request is lost';
ok $gate->wait_health('pas1', 'DOWN'), '  and it is down';
($row) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} };
like $row->{reason}, qr/connection refused by unix:\S*pas1\.sock|no connection to unix:/, '  the reason names the socket';
unlink $relay[0]{socket};
like $gate->wait_log(qr/pas1 \w+ -> down: /) // '', qr/pas1/, '  the log names it';
$relay[0]->start;
ok $gate->wait_health('pas1', 'UP'), 'it is back under the same path';

my $long = '/' . 'x' x 108;
my $conf = spew(tmp('long.conf'), qq(listen = ( { address = "127.0.0.1:8080"; } );
pools = ( { name = "p"; backends = [ "unix:$long" ]; } );\n));
($code, $out) = run_cmd(PasGate::binary(), 'check', '-c', $conf);
is $code, 78, 'check refuses a path that is too long';
like $out, qr/at most 107/, '  and says why';

$gate->stop_ok;
done_testing;
