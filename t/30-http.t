# HTTP/1.1 through pasgate: framing, bodies both ways, upgrades, deadlines, aborts.
use strict;
use warnings;
use Compress::Raw::Zlib qw(crc32);
use Digest::SHA qw(sha1);
use JSON::PP;
use lib 't/lib';
use MIME::Base64;
use PasGate;
use Test::More;
use Time::HiRes qw(time);

use constant GIB => 1 << 30;

my $long = 'l' x 250;
my $pas = PasGate::StandIn->new('pas1');
my $raw = PasGate::Scripted->new(id => 'raw', serve => \&scripted);
my $gate = PasGate->new(
    workers    => 2,
    backends   => [$pas],
    more_pools => [
        qq(name = "raw"; check = { type = "tcp"; }; retries = 1;)
          . qq( backends = ( { name = "raw"; address = "127.0.0.1:$raw->{port}"; } );)],
    routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; },'
      . ' { path = "/raw"; pool = "raw"; upstream_path = "/"; },'
      . qq( { path = "/$long"; pool = "raw"; upstream_path = "/"; }));

# What the scripted backend does, by the path that it is asked for.
sub scripted
{
    my ($sock, $record, $n) = @_;
    my ($buf, $count) = ('', 0);
    my $say = sub { my $at = 0; while ($at < length $_[0]) { $at += syswrite($sock, $_[0], length($_[0]) - $at, $at) // return 0 } 1 };
    while (defined(my $q = PasGate::Scripted::read_request($sock, \$buf, $record))) {
        my ($path) = $q =~ m{^\w+ (\S+)};
        $count++;
        if ($path =~ m{^/endless}) {
            $say->("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            1 while $say->('x' x 65536);
            $record->("GONE");
            return;
        } elsif ($path eq '/until-close') {
            $say->("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
            return;
        } elsif ($path eq '/short') {
            $say->("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
            return;
        } elsif ($path eq '/short-chunked') {
            $say->("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            return;
        } elsif ($path =~ m{^/once} && $count > 1) {
            return;    # a kept connection that closes just as it is used again
        } elsif ($path eq '/interim') {
            $say->("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" x 2
                  . "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        } elsif ($path =~ m{^/cookies/(\d+)/(\d+)}) {    # they become longer on their way; and another field
            $say->("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" . ('Set-Cookie: a=' . 'v' x 650 . "; Path=/\r\n") x $1
                  . 'X-Long: ' . 'x' x $2 . "\r\n\r\nok");
        } elsif ($path eq '/extra') {
            $say->("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndoneHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        } else {
            $say->("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

subtest 'keep-alive and pipelining' => sub {
    my $c = $gate->connect;
    my %seen = map { $c->request('GET', '/pas/get')->{status} => 1 } 1 .. 20;
    is join(',', keys %seen), 200, 'twenty requests on one connection';
    $c->write(join '', map { $c->build('GET', "/pas/get?n=$_") } 1 .. 8);
    is join(' ', map { decode_json($c->response('GET')->{body})->{args}{n} } 1 .. 8), '1 2 3 4 5 6 7 8',
      'pipelined requests are answered in order';
    $c->write($c->build('POST', '/pas/upload', body => 'x' x 5000) . $c->build('GET', '/pas/get?n=9'));
    is decode_json($c->response('POST')->{body})->{length}, 5000, 'a body in a pipeline';
    is decode_json($c->response('GET')->{body})->{args}{n}, 9, 'and what follows it';
    my $r = $c->request('GET', '/pas/get', close => 1);
    like $r->{h}{connection} // '', qr/close/i, 'close is answered';
    ok $c->closed, 'and done';

    my $c10 = $gate->connect;
    $r = $c10->request('GET', '/pas/get', version => 'HTTP/1.0');
    is $r->{status}, 200, 'HTTP/1.0';
    ok $c10->closed, 'and the connection ends';
};

subtest 'a request at a time, in pieces' => sub {
    my $c = $gate->connect;
    $c->write($_) && select(undef, undef, undef, 0.002)
      for split //, $c->build('POST', '/pas/post', body => 'pieces');
    is decode_json($c->response('POST')->{body})->{data}, 'pieces', 'byte by byte';
};

subtest 'answers without a body' => sub {
    my $c = $gate->connect;
    my $r = $c->request('HEAD', '/pas/bytes?n=1000');
    is $r->{status}, 200, 'HEAD';
    is $r->{h}{'content-length'}, 1000, 'tells the length';
    for my $code (204, 304) {
        $r = $c->request('GET', "/pas/status?code=$code");
        is $r->{status}, $code, "status $code";
    }
    is $c->request('GET', '/pas/bytes?n=3')->{length}, 3, 'and the connection is in step';
};

subtest 'bodies down' => sub {
    my $c = $gate->connect;
    for my $n (0, 1, 16383, 16384, 16385, 65536, 1_000_003, 5_000_000) {
        for my $how ('', '&chunked=1', '&chunked=8192') {
            next if $how eq '&chunked=1' && $n > 70000;
            my $r = $c->request('GET', "/pas/bytes?n=$n$how");
            my $sum = sprintf '%08x', crc32($r->{body});
            is $sum, $c->request('GET', "/pas/sum?n=$n")->{body}, "$n bytes$how";
        }
    }
};

subtest 'bodies up, and both ways' => sub {
    my $c = $gate->connect;
    my $block = join '', map { chr(($_ * 7 + ($_ >> 8)) & 255) } 0 .. 70000;
    for my $n (0, 1, 16384, 70001, 3_000_000) {
        my $body = substr $block x (1 + $n / 70000), 0, $n;
        my $sum = sprintf '%08x', crc32($body);
        my $r = decode_json($c->request('POST', '/pas/upload', body => $body)->{body});
        is "$r->{length} $r->{crc32}", "$n $sum", "$n bytes by length";
        my @pieces = grep { length } unpack '(a7777)*', $body;
        $r = decode_json($c->request('PUT', '/pas/upload', chunked => \@pieces)->{body});
        is "$r->{length} $r->{crc32}", "$n $sum", "$n bytes chunked";
    }
    my $body = substr $block, 0, 60000;
    # An answer that begins before its request has ended may end the connection.
    for ([body => $body], [chunked => [unpack '(a999)*', $body]]) {
        my $r = $gate->request('POST', '/pas/echo', @$_);
        ok $r->{body} eq $body, "echo, $_->[0]"
          or diag "status $r->{status} ", $r->{why} // '', " complete $r->{complete} length ", length $r->{body};
    }
};

subtest 'Expect: 100-continue' => sub {
    my $c = $gate->connect;
    $c->write($c->build('POST', '/pas/upload', headers => [['Expect', '100-continue'], ['Content-Length', 5]]));
    wait_for { $c->fill(0.1); $c->{buf} =~ /\r\n\r\n/ || $c->{eof} };
    like $c->{buf}, qr{^HTTP/1.1 100\b[^\r]*\r\n(?:[^\r]+\r\n)*\r\n\z}, 'asked to go on, once';
    $c->{buf} = '';
    $c->write('12345');
    my $r = $c->response('POST');
    is $r->{status}, 200, 'the answer';
    is_deeply $r->{interim}, [], 'and no second interim one';
    is decode_json($r->{body})->{length}, 5, 'got the body';
    is $c->request('POST', '/pas/upload', body => 'x', headers => [['Expect', 'more']])->{status}, 417,
      'an unknown expectation';
};

subtest 'interim answers pass' => sub {
    my $r = $gate->connect->request('GET', '/raw/interim');
    is $r->{body}, 'done', 'the answer';
    is scalar @{ $r->{interim} }, 2, 'after two early hints';
};

subtest 'an answer before the body was read' => sub {
    my $c = $gate->connect;
    $c->write($c->build('POST', '/pas/early?code=413&close=1', headers => [['Content-Length', 50_000_000]]));
    $c->write('x' x 100_000);    # more than limits.request_buffer
    my $r = $c->response('POST');
    is $r->{status}, 413, 'is passed on at once';
    ok wait_for { $c->write('x' x 65536, timeout => 1); $c->fill(0.05); $c->{eof} },
      'and the connection is not used again';
    is $gate->get('/pas/get')->{status}, 200, 'nothing else is disturbed';
};

subtest 'answers that end wrongly' => sub {
    my $r = $gate->connect->request('GET', '/raw/until-close');
    is $r->{body}, 'all of it', 'one that ends with the connection';
    is $r->{h}{'transfer-encoding'}, 'chunked', 'gets a framing';
    ok $r->{complete}, 'that says where it ends';
    for my $path (qw(short short-chunked)) {
        $r = $gate->connect->request('GET', "/raw/$path");
        ok !$r->{complete}, "$path: never made whole";
    }
    my $c = $gate->connect;
    is $c->request('GET', '/raw/extra')->{body}, 'done', 'bytes after the end';
    is $c->request('GET', '/raw/ok')->{body}, 'ok', 'reach nobody';
};

# Their paths become those of the route.
subtest 'a head that becomes too large' => sub {
    for (['60/9000', 200], ['93/1', 502], ['80/9000', 502]) {
        my ($what, $status) = @$_;
        my $c = $gate->connect;
        my $r = $c->request('GET', "/$long/cookies/$what");
        is $r->{status}, $status, "cookies and long fields: $what";
        next if $status == 200;
        like $r->{h}{'proxy-status'}, qr/error=http_response_header_section_size/, 'the client is told';
        my $line;
        wait_for { ($line) = grep { ($_->{target} // '') =~ m{$what$} } $gate->access };
        is "$line->{end} $line->{error}", 'backend http_response_header_section_size', 'so is the log';
        like $line->{detail}, qr/too large to be passed on/, 'in words';
        is $c->request('GET', '/raw/ok')->{body}, 'ok', 'and the connection goes on';
    }
};

subtest 'kept connections to a backend that closes them' => sub {
    my $c = $gate->connect;
    my %status;
    $status{ $c->request('GET', '/pas/get')->{status} }++ for 1 .. 250;
    is_deeply \%status, { 200 => 250 }, 'Tomcat ends each after 100 requests';
    $c->request('GET', '/raw/ok');
    %status = ();
    $status{ $c->request('GET', '/raw/once')->{status} }++ for 1 .. 10;
    is_deeply \%status, { 200 => 10 }, 'a GET that meets a closing one is sent again';
};

subtest 'clients that go away' => sub {
    my $c = $gate->connect;
    $c->write($c->build('GET', '/raw/endless'));
    wait_for { $c->fill(0.1); length $c->{buf} > 100_000 };
    $c->abort;
    ok wait_for { grep { /GONE/ } $raw->seen }, 'the backend learns that its reader is gone';

    my $before = () = join('', $raw->seen) =~ /GONE/g;
    $c = $gate->connect(rcvbuf => 4096);
    $c->write($c->build('GET', '/raw/endless?slow'));
    wait_for { $c->fill(0.1); length $c->{buf} > 1000 };
    select undef, undef, undef, 0.3;
    my $rss = rss_kb($gate->{pid});
    $c->abort;
    ok wait_for { (() = join('', $raw->seen) =~ /GONE/g) > $before }, 'so for one that did not read';

    $c = $gate->connect;
    $c->write($c->build('POST', '/raw/up', headers => [['Content-Length', 200_000]]) . 'x' x 100_000 . 'half');
    ok wait_for { grep { /POST \/up.*half\z/s } $raw->seen }, 'half a body reached the backend';
    $c->abort;
    is $gate->get('/raw/ok')->{body}, 'ok', 'its connection is not used for the next';
    ok !(grep { /half.*GET/s } $raw->seen), 'which came on another';
};

subtest 'WebSocket' => sub {
    my $c   = $gate->connect;
    my $key = encode_base64('0123456789abcdef', '');
    $c->write($c->build('GET', '/pas/ws', headers => [['Upgrade', 'websocket'], ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Key', $key], ['Sec-WebSocket-Version', 13]]));
    my $r = $c->response('GET');
    is $r->{status}, 101, 'switches';
    is lc($r->{h}{upgrade} // ''), 'websocket', 'to what was asked';
    is $r->{h}{'sec-websocket-accept'}, encode_base64(sha1($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'), ''),
      'and the key is answered';
    for my $n (5, 200, 100_000) {
        my $text = 'w' x $n;
        my $len = $n < 126 ? pack('C', 128 | $n) : $n < 65536 ? pack('Cn', 254, $n) : pack('CQ>', 255, $n);
        $c->write("\x81$len\1\2\3\4" . ($text ^ substr("\1\2\3\4" x ($n / 4 + 1), 0, $n)));
        my $got = '';
        my $want = $n + ($n < 126 ? 2 : $n < 65536 ? 4 : 10);
        wait_for { $c->fill(0.2); length $c->{buf} >= $want || $c->{eof} };
        is substr($c->{buf}, -$n), $text, "$n bytes come back";
        $c->{buf} = '';
    }
    $c->write("\x88\x80\0\0\0\0");
    $c->rest(5);
    ok $c->{eof}, 'and it ends';
    isnt $gate->request('POST', '/pas/ws', headers => [['Upgrade', 'websocket'], ['Connection', 'Upgrade']])->{status},
      101, 'no tunnel by POST';
};

subtest 'bodies of 2 GiB in little memory' => sub {
    # A sanitized build has another memory, and other speed.
    my $n = sanitized() ? GIB / 16 : 2 * GIB;
    my $url = "https://localhost:$gate->{tls}";
    my @curl = ('curl', '--http1.1', '-sSk', '--max-time', 240, '-o', '/dev/null', '-w', '%{http_code} %{size_download}');
    my $file = tmp('sparse');
    open my $f, '>', $file or die $!;
    truncate $f, $n;
    close $f;
    my $empty = sprintf '%08x', 0;
    is +(run_cmd(@curl, "$url/pas/bytes?n=$n"))[1], "200 $n", 'down by length';
    is +(run_cmd(@curl, "$url/pas/bytes?n=$n&chunked=16384"))[1], "200 $n", 'down chunked';
    my ($code, $out) = run_cmd('curl', '--http1.1', '-sSk', '--max-time', 240, '-T', $file, "$url/pas/upload");
    is eval { decode_json($out)->{length} } // $out, $n, 'up by length';
    ($code, $out) = run_cmd('curl', '--http1.1', '-sSk', '--max-time', 240, '-T', $file, '-H', 'Transfer-Encoding: chunked', "$url/pas/upload");
    is eval { decode_json($out)->{length} } // $out, $n, 'up chunked';
    for my $pid ($gate->{pid}, PasGate::children($gate->{pid})) {
        my $peak = rss_kb($pid, 'peak');
        cmp_ok $peak, '<', 64 * 1024, "process $pid: $peak KiB at most" unless sanitized();
    }
};

$gate->stop_ok;

# ---- deadlines, with a gate that is impatient

my $quick = PasGate->new(
    backends => [$pas],
    global   => 'timeouts = { handshake = "700ms"; header = "700ms"; body = "700ms"; idle = "700ms"; '
      . 'first_byte = "700ms"; response_idle = "700ms"; send = "700ms"; };');

# Calls the code; it must take what the deadline is, and not much more.
sub takes
{
    my ($what, $code) = @_;
    my $start = time;
    my $held  = $code->();
    my $took  = time - $start;
    ok $held, $what;
    ok $took > 0.5 && $took < 15, sprintf '%s: after %.1f s', $what, $took;
}

subtest 'deadlines' => sub {
    my $c = $quick->connect;
    $c->request('GET', '/pas/get');
    takes 'an idle connection is closed', sub { $c->closed };

    $c = $quick->connect;
    $c->write("GET /pas/get HTTP/1.1\r\nHost: localhost\r\nX: ");
    takes 'half a header gets 408', sub { my $r = $c->response('GET'); $r->{status} == 408 };
    ok $c->closed, 'and the end';

    $c = $quick->connect;
    $c->write("GET /pas/get HTTP/1.1\r\nHost: local");
    takes 'a dripping header gets it, too', sub {
        wait_for { $c->write('x'); $c->fill(0.1); $c->{eof} };
        $c->{buf} =~ m{^HTTP/1.1 408 };
    };

    $c = PasGate::Conn->new($quick->{tls});
    takes 'a handshake that never comes', sub { $c->closed };

    $c = $quick->connect;
    $c->write($c->build('POST', '/pas/upload', headers => [['Content-Length', 100]]) . 'x');
    takes 'a body that does not come', sub { my $r = $c->response('POST'); $r->{status} == 408 || $r->{status} == 0 };

    $pas->ctl('mode=hangapp');
    $c = $quick->connect;
    takes 'a backend that does not answer gets 504', sub { $c->request('GET', '/pas/get')->{status} == 504 };
    $pas->ctl('mode=ok');
    ok wait_for { $quick->get('/pas/get')->{status} == 200 }, 'well again';

    $c = $quick->connect;
    takes 'an answer that stops is cut', sub {
        my $r = $c->request('GET', '/pas/trickle?n=100&ms=60000');
        !$r->{complete};
    };

    my ($row) = grep { ($_->{status} // 0) == 504 } wait_for { my @l = $quick->access; (grep { ($_->{status} // 0) == 504 } @l) ? [@l] : 0 } ? $quick->access : ();
    is $row && $row->{end}, 'timeout', 'the log tells who ended it';
};
$quick->stop_ok;

done_testing;
