# Who has nothing more to send may still want to hear: half a close in either direction passes
# through tunnels, and a request whose client sent FIN behind it is answered. What is on the way is
# delivered. Who is gone is noticed where that can be known.
use strict;
use warnings;
use Net::SSLeay;
use Time::HiRes qw(time sleep);
use lib 't/lib';
use PasGate;
use Test::More;

my $many = 3_000_000;

sub take
{
    my ($sock, $recorder, $until) = @_;
    my $all = '';
    while ($all !~ $until) {
        my $n = sysread $sock, my $piece, 65536;
        return $all unless $n;
        $recorder->($piece);
        $all .= $piece;
    }
    return $all;
}

sub give { my ($sock, $bytes) = @_; my $done = 0; $done += syswrite($sock, $bytes, 65536, $done) // return while $done < length $bytes }

# A backend of tunnels, by path: what it does after 101.
my $raw = PasGate::Scripted->new(serve => sub {
    my ($sock, $recorder) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $head = take($sock, $recorder, qr/\r\n\r\n/);
    if ($head =~ m{/slow/(\S+)}) {    # a response that comes late, or never
        my $in = '';
        vec($in, fileno $sock, 1) = 1;
        my $closed = select($in, undef, undef, $1 eq 'never' ? 60 : 1) && !sysread $sock, my $byte, 1;
        $recorder->($closed ? 'CLOSED' : 'OPEN');
        $closed = 0 if $1 eq 'whole' and sleep 1;
        give($sock, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate") unless $closed;
        return;
    }
    return give($sock, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") unless $head =~ /^Upgrade:/mi;
    give($sock, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    if ($head =~ m{/client-ends}) {
        my $all = take($sock, $recorder, qr/\A(?!)/);
        sleep 0.3;
        give($sock, 'got ' . length $all);
    } elsif ($head =~ m{/backend-ends}) {
        give($sock, 'bye');
        shutdown $sock, 1;
        take($sock, $recorder, qr/\A(?!)/);
        $recorder->('END');
    } elsif ($head =~ m{/much}) {
        give($sock, 'd' x $many);
    }
});
my $gate = PasGate->new(backends => [{ name => 'raw', port => $raw->{port} }], probe => '/',
    global => 'timeouts = { tunnel = "120s"; };');

my @ways = (['plain', plain => 1], ['TLS 1.3', SSL_version => 'TLSv1_3'], ['TLS 1.2', SSL_version => 'TLSv1_2']);

sub tunnel
{
    my ($path, @way) = @_;
    my $c = $gate->connect(@way);
    my $r = $c->request('GET', $path, headers => [['Connection', 'Upgrade'], ['Upgrade', 'websocket'],
        ['Sec-WebSocket-Version', 13], ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==']]);
    is $r->{status}, 101, 'a tunnel';
    return $c;
}

# FIN alone, or close_notify and FIN.
sub half_close
{
    my ($c, $notify) = @_;
    Net::SSLeay::shutdown($c->{sock}->_get_ssl_object) if $notify && $c->{tls};
    $c->half_close;
}

for (@ways) {
    my ($name, @way) = @$_;
    for my $notify ($name eq 'plain' ? 0 : (0, 1)) {
        subtest "$name: the client ends first" . ($notify ? ', with close_notify' : '') => sub {
            my $c = tunnel('/client-ends', @way);
            is $c->write('u' x $many), $many, 'it sends';
            half_close($c, $notify);
            is $c->rest, "got $many", 'all arrived, and the response to it came back';
            is $c->{eof}, 'eof', 'and the end, no reset';
        };
    }
    subtest "$name: the backend ends first" => sub {
        $raw->clear;
        my $c = tunnel('/backend-ends', @way);
        is $c->rest, 'bye', 'its last words';
        is $c->{eof}, 'eof', 'and its end';
        is $c->write('and more'), 8, 'the client goes on';
        half_close($c, 1);
        ok wait_for { grep { /and moreEND\z/ } $raw->seen }, 'which arrives, with its end';
    };
    subtest "$name: what is on the way" => sub {
        my $c = tunnel('/much', @way, rcvbuf => 8192);
        ok wait_for { grep { m{/much} } $raw->seen }, 'the backend has sent it and left';
        is length $c->rest, $many, 'all of it arrives';
        is $c->{eof}, 'eof', 'and the end';
    };
    subtest "$name: FIN behind a GET" => sub {
        my $c = $gate->connect(@way);
        $c->write($c->build('GET', '/slow/whole'));
        $c->half_close;
        my $r = $c->response('GET');
        is $r->{status}, 200, 'is answered';
        is $r->{body}, 'late', 'entirely';
        ok $c->closed, 'and then the connection ends';
    };
}

subtest 'who is gone' => sub {
    for ([reset => plain => 1], [reset => SSL_version => 'TLSv1_2'], [close => SSL_version => 'TLSv1_3']) {
        my ($how, @way) = @$_;
        $raw->clear;
        my $c = $gate->connect(@way);
        $c->write($c->build('GET', '/slow/never'));
        ok wait_for { grep { /never/ } $raw->seen }, "@way: a long request";
        $how eq 'reset' ? $c->abort : $c->close;
        ok wait_for { grep { /CLOSED\z/ } $raw->seen }, "ends when its client is gone ($how)";
    }
    ok wait_for { 3 == grep { ($_->{target} // '') =~ /never/ && $_->{end} eq 'client' } $gate->access },
        'and the log says so' or diag explain [$gate->access];
};

$gate->stop_ok;
done_testing;
