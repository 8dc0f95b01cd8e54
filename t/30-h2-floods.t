# HTTP/2: what one client may make a connection do. Each flood ends its own connection with
# ENHANCE_YOUR_CALM, is counted, and costs nobody else anything.
use strict;
use warnings;
use lib 't/lib';
use H2;
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas], global => 'timeouts = { send = "2s"; };');

sub total { return $gate->status->{totals}{"http2_$_[0]"} // 0 }

# Sends what the code gives until the connection ends; the error of GOAWAY.
sub flood
{
    my ($what, $counter, $most, $code, %opt) = @_;
    my $before = total($counter);
    my $c      = H2->new($gate, %opt);
    $opt{begin}->($c) if $opt{begin};
    my ($sent, $f) = (0);
    while ($sent < $most && !$f) {
        $c->write($code->($c, $sent)) or last;
        $sent++;
        $c->fill(0) unless $opt{deaf};
        ($f) = grep { $_->{type} == H2::GOAWAY } @{ $c->{frames} };
    }
    $f //= $c->frame(sub { $_->{type} == H2::GOAWAY });
    is $f && unpack('x4N', $f->{payload}), H2::ENHANCE_YOUR_CALM, "$what: ended ($sent sent)";
    ok wait_for { total($counter) > $before }, '  and counted';
    $c->close;
    is $gate->get('/pas/get')->{status}, 200, '  others are served';
}

my $get = H2::block(H2::request('/pas/get'));
my $id = sub { return 1 + 2 * $_[1] };

flood('rapid reset', 'ended_resets', 400,
    sub { my $n = $id->(@_); return H2::raw(H2::HEADERS, H2::END_HEADERS, $n, $get) . H2::raw(H2::RST_STREAM, 0, $n, pack 'N', 8) });
flood('resets that the other side is made to send', 'ended_resets', 400,
    sub { my $n = $id->(@_); return H2::raw(H2::HEADERS, H2::END_HEADERS, $n, $get) . H2::raw(H2::WINDOW_UPDATE, 0, $n, pack 'N', 0) });
flood('malformed requests', 'ended_resets', 400,
    sub { return H2::raw(H2::HEADERS, H2::END_HEADERS | H2::END_STREAM, $id->(@_), H2::block([[':method', 'GET']])) });
flood('CONTINUATION', 'ended_blocks', 20,
    sub { return H2::raw($_[1] ? H2::CONTINUATION : H2::HEADERS, 0, 1, $_[1] ? '' : $get) });
flood('a block of many bytes', 'ended_blocks', 8,
    sub { return H2::raw($_[1] ? H2::CONTINUATION : H2::HEADERS, 0, 1, "\0\1a" . H2::number(0, 7, 16_000) . 'b' x 16_000) });
flood('SETTINGS', 'ended_frames', 4000, sub { return H2::raw(H2::SETTINGS, 0, 0, '') });
flood('PING', 'ended_frames', 4000, sub { return H2::raw(H2::PING, 0, 0, 'x' x 8) });
flood('PRIORITY', 'ended_frames', 4000, sub { return H2::raw(H2::PRIORITY, 0, 1, "\0\0\0\3\0") });
flood('WINDOW_UPDATE', 'ended_frames', 4000, sub { return H2::raw(H2::WINDOW_UPDATE, 0, 0, pack 'N', 1) });
flood('unknown frames', 'ended_frames', 4000, sub { return H2::raw(0x77, 0, 0, '') });
flood('empty DATA', 'ended_frames', 4000, sub { return H2::raw(H2::DATA, 0, 1, '') },
    begin => sub { $_[0]->headers(1, H2::request('/pas/upload', method => 'POST'), end => 0) });
flood('a window opened byte by byte', 'ended_frames', 4000, sub { return H2::raw(H2::WINDOW_UPDATE, 0, 1, pack 'N', 1) },
    settings => [4 => 0], begin => sub { $_[0]->get(1, '/pas/bytes?n=100000') });
# One field of 4 KiB in the table, and then only references to it.
flood('references to one field', 'ended_blocks', 60, sub {
        my $big = "\x40\1x" . H2::number(0, 7, 3900) . 'y' x 3900;
        return H2::raw(H2::HEADERS, H2::END_HEADERS | H2::END_STREAM, $id->(@_), ($_[1] ? '' : $big) . "\xbe" x 3000);
});

subtest 'too many streams' => sub {
    my $c = H2->new($gate);
    my $before = total('refused');
    $c->write(join '', map { H2::raw(H2::HEADERS, H2::END_HEADERS | H2::END_STREAM, 1 + 2 * $_, H2::block(H2::request('/pas/delay?ms=3000'))) } 0 .. 100);
    is $c->status(201), 'R' . H2::REFUSED_STREAM, 'one more than 100 is refused';
    ok wait_for { total('refused') > $before }, 'and counted';
    $c->close;
};

subtest 'a window that stays closed' => sub {
    my $c = H2->new($gate, settings => [4 => 0]);
    my $before = $gate->status->{totals}{slow_readers};
    $c->get(1, '/pas/bytes?n=200000');
    is $c->status(1), 200, 'the head';
    my $f = $c->frame(sub { $_->{type} == H2::RST_STREAM });
    is $f && unpack('N', $f->{payload}), H2::INTERNAL_ERROR, 'its stream is reset';
    ok wait_for { $gate->status->{totals}{slow_readers} > $before }, 'and counted';
    $c->get(3, '/pas/get');
    is $c->status(3), 200, 'the connection goes on';
    $c->close;
};

is $gate->status->{totals}{http2_ended_protocol}, 0, 'none was taken for something else';
like $gate->request('GET', '/metrics', port => $gate->{status_port}, plain => 1)->{body}, qr/^pasgate_http2_ended_frames_total [1-9]/m, 'there are metrics';
$gate->stop_ok;
done_testing;
