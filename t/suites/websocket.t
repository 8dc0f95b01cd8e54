#!/usr/bin/perl
# websocket.t: ninety conversations with an echo server of python3-autobahn, by the list of Autobahn's
# test suite: what it says through pasgate, over HTTP/1.1 and over HTTP/2, is what it says direct.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $python = '/usr/bin/python3';    # Debian's, which has Debian's modules
plan skip_all => 'no python3-autobahn or python3-h2 here (t/install-deps.sh suites)'
  if (run_cmd($python, '-c', 'import autobahn, h2'))[0];

my $port = free_port();
open my $server, '|-', "exec $python t/suites/websocket.py serve $port 2>/dev/null" or die "python3: $!";
ok wait_for { eval { PasGate::Conn->new($port)->close; 1 } }, 'an echo server';
my $gate = PasGate->new(backends => [{ name => 'echo', port => $port }], probe => '/');
ok $gate->wait_health('echo', 'up'), 'is up';

my ($code, $out) = run_cmd($python, 't/suites/websocket.py', 'try', $port, $gate->{tls}, 'h2');
my @bad = $out =~ /^(not ok .*(?:\n# .*)*)/mg;
my $n = () = $out =~ /^ok /mg;
is_deeply \@bad, [], "$n conversations are the same on all ways";
is $code, 0, 'and that is all of them' or diag substr $out, -500;

close $server;
$gate->stop_ok;
done_testing;
