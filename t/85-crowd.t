# Two thousand slow clients at one address, two hundred honest ones at others: every honest request is
# served, about as fast as by a second gate that has no slow clients. Both are asked in turn, so that
# a busy machine slows both.
use strict;
use warnings;
use lib 't/lib';
use H2;
use IO::Socket::INET;
use IO::Socket::SSL;
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(time sleep);

use constant { SLOW => 2000, STREAMS => 20, HONEST => 200, ROUNDS => 5 };

my $slow_from = '127.0.0.2';
my @pas    = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my %same = (workers => 2, backends => \@pas, pool => 'max_in_flight = 4; queue = { size = 100; timeout = "10s"; };',
    global => 'limits = { per_client = { exempt = [ "192.0.2.0/24" ]; }; };');
my $quiet = PasGate->new(%same);
my $gate;

# What each of them sends, and goes on with: half a head, a body, a request whose response it
# does not read.
my @ways = (
    ["GET /pas/get HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", 'x'],
    ["POST /pas/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" . 'x' x 3000, 'x'],
    ["GET /pas/bytes?n=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n", ''],
);

sub slow_one
{
    my ($way) = @_;
    my $s = IO::Socket::INET->new(LocalAddr => $slow_from, PeerAddr => '127.0.0.1', PeerPort => $gate->{plain}, Timeout => 10)
      or return undef;
    $s->blocking(0);
    syswrite $s, $ways[$way][0];
    return $s;
}

# The slow clients: in a process of their own, until the file $stop is there. One that was ended
# comes again.
my $stop;
my $by_h1 = sub {
    local $SIG{PIPE} = 'IGNORE';
    my @slow;
    my $again = 0;
    until (-e $stop) {
        for my $i (0 .. SLOW - 1) {
            last if !($i % 100) && -e $stop;
            my $s = $slow[$i];
            my $more = $ways[ $i % @ways ][1];
            next if $s && (!$more || syswrite($s, $more) || $!{EAGAIN});
            $again++ if $s;
            $slow[$i] = slow_one($i % @ways);
        }
        sleep 0.5;
    }
    return { again => $again };
};

# The same as streams of a hundred connections: bodies that come slowly, and responses for which the
# client gives no window. Few enough bytes that a connection may keep them.
my $by_h2 = sub {
    my $context = IO::Socket::SSL::SSL_Context->new(SSL_alpn_protocols => ['h2'], SSL_verify_mode => SSL_VERIFY_NONE);
    my $one = sub {
        my $c = eval { H2->new($gate, settings => [4 => 0], tls => { from => $slow_from, SSL_reuse_ctx => $context }) } or return undef;
        for my $n (0 .. STREAMS - 1) {
            my $id = 1 + 2 * $n;
            if ($n % 2) {
                $c->get($id, '/pas/bytes?n=5000');
            } else {
                $c->headers($id, H2::request('/pas/upload', method => 'POST', fields => [['content-length', 60_000]]), end => 0);
                $c->send(H2::DATA, 0, $id, 'x' x 2000);
            }
        }
        return $c;
    };
    my @slow;
    my $again = 0;
    until (-e $stop) {
        for my $i (0 .. SLOW / STREAMS - 1) {
            last if -e $stop;
            my $ok = $slow[$i] && $slow[$i]->send(H2::DATA, 0, 1 + 4 * int(rand(STREAMS / 2)), 'x' x 100);
            $slow[$i]->fill(0) if $ok;
            next if $ok && !$slow[$i]{eof};
            $again++ if $slow[$i];
            $slow[$i] = $one->();
        }
        sleep 0.5;
    }
    return { again => $again };
};

sub p99 { my @t = sort { $a <=> $b } @_; return $t[ int(0.99 * $#t) ] }
sub median { my @t = sort { $a <=> $b } @_; return $t[ $#t / 2 ] }

my $honest = sub {
    my (%got, @ratio);
    my ($begun) = @_;
    my $there = wait_for { ($gate->status->{totals}{$begun} // 0) >= 0.9 * SLOW } 60;
    my $pair = sub {
        my ($n) = @_;
        my @took;
        for my $to ($n % 2 ? ($quiet, $gate) : ($gate, $quiet)) {
            my $from = time;
            my $r = eval { $to->get('/pas/get', plain => 1, from => '127.0.1.' . (1 + $n)) };
            $got{ $to == $gate ? 'beside' : 'quiet' }{ ($r // {})->{status} || 'none' }++;
            $took[ $to == $gate ] = time - $from;
        }
        return @took;
    };
    for my $round (1 .. ROUNDS) {
        my (@quiet, @beside);
        for my $n (0 .. HONEST - 1) {
            my ($q, $b) = $pair->($n);
            push @quiet,  $q;
            push @beside, $b;
        }
        push @ratio, p99(@beside) / p99(@quiet);
    }
    my $now = $gate->status;
    spew($stop, '');
    return { there => $there, got => \%got, ratio => \@ratio, status => { map { $_ => $now->{totals}{$_} } qw(connections exchanges) } };
};

# By HTTP/2, as many as one client may have (limits.per_client.requests); the others got 503.
for my $case (['HTTP/1.1', $by_h1, connections => connections => 0.9 * SLOW],
    ['HTTP/2', $by_h2, exchanges_total => exchanges => 900]) {
    my ($name, $attack, $begun, $what, $many) = @$case;
    subtest $name => sub {
        $gate = PasGate->new(%same);
        $stop = tmp('stop' . $name =~ s/\W//gr);
        my ($attacked, $r) = in_parallel($attack, sub { $honest->($begun) });
        ok $r->{there}, SLOW . " slow clients of one address ($begun)" or diag explain $r;
        is_deeply $r->{got}, { quiet => { 200 => HONEST * ROUNDS }, beside => { 200 => HONEST * ROUNDS } },
          'every request of ' . HONEST . ' others is served';
        note 'p99 beside them, by that without: ' . join ' ', map { sprintf '%.2f', $_ } @{ $r->{ratio} };
        note explain { %{ $r->{status} }, again => $attacked->{again} };
        cmp_ok median(@{ $r->{ratio} }), '<=', 2, 'p99 is at most twice that of a gate without slow clients';
        cmp_ok $r->{status}{$what}, '>=', $many, 'the slow ones were there to the end';
        $gate->stop_ok;
    };
}
$quiet->stop_ok;
done_testing;
