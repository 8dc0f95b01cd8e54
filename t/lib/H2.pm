# H2.pm: a client of HTTP/2 that writes raw frames, and so can break every rule.
#
#     my $c = H2->new($gate);                 # TLS with ALPN h2, preface, SETTINGS
#     $c->headers(1, [[':method', 'GET'], ...], end => 1);
#     my $f = $c->frame(sub { $_->{type} == H2::RST_STREAM });    # the next such frame
#     is $c->status(1), 200;                  # waits for the head of the response
#
# Fields are sent as literals. Of responses, only :status is decoded: the client asks for an empty
# table, so that it is never a reference to something earlier.
package H2;
use strict;
use warnings;
use IO::Select;
use PasGate;
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, PRIORITY => 2, RST_STREAM => 3, SETTINGS => 4, PUSH_PROMISE => 5,
    PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8, CONTINUATION => 9,
    END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8,
    NO_ERROR => 0, PROTOCOL_ERROR => 1, INTERNAL_ERROR => 2, FLOW_CONTROL_ERROR => 3, STREAM_CLOSED => 5,
    FRAME_SIZE_ERROR => 6, REFUSED_STREAM => 7, CANCEL => 8, COMPRESSION_ERROR => 9,
    ENHANCE_YOUR_CALM => 11, HTTP_1_1_REQUIRED => 13,
};

# Options: settings (pairs), host; wait => 0: does not wait for the SETTINGS of the other side.
sub new
{
    my ($class, $gate, %opt) = @_;
    my $c = $gate->connect(SSL_alpn_protocols => ['h2'], %{ $opt{tls} // {} });
    my $self = bless { sock => $c->{sock}, conn => $c, in => '', frames => [] }, $class;
    $self->{sock}->blocking(0);
    die 'no h2' if ($self->{sock}->alpn_selected // '') ne 'h2';
    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . raw(SETTINGS, 0, 0, settings(1 => 0, @{ $opt{settings} // [] })));
    $self->frame(sub { $_->{type} == SETTINGS && $_->{flags} & ACK }) if $opt{wait} // 1;
    return $self;
}

sub settings
{
    my $out = '';
    while (my ($id, $value) = splice @_, 0, 2) {
        $out .= pack 'nN', $id, $value;
    }
    return $out;
}

sub raw
{
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload;
}

# 0: the other side closed.
sub write
{
    my ($self, $bytes) = @_;
    my $end = time + DEADLINE;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes && time < $end) {
        my $n = $self->{sock}->syswrite($bytes);
        if (defined $n) {
            return 0 if !$n;
            substr($bytes, 0, $n, '');
            next;
        }
        return 0 if !$!{EAGAIN} && !$!{EWOULDBLOCK} && $IO::Socket::SSL::SSL_ERROR !~ /wants a/;
        $self->fill(0.05);
        return 0 if $self->{eof};
    }
    return !length $bytes;
}

sub send { my ($self, @frame) = @_; return $self->write(raw(@frame)) }

sub number
{
    my ($prefix, $bits, $n) = @_;
    my $most = (1 << $bits) - 1;
    return chr($prefix | $n) if $n < $most;
    my $out = chr($prefix | $most);
    for ($n -= $most; $n >= 128; $n >>= 7) {
        $out .= chr($n & 127 | 128);
    }
    return $out . chr $n;
}

sub block { return join '', map { "\0" . number(0, 7, length $_->[0]) . $_->[0] . number(0, 7, length $_->[1]) . $_->[1] } @{ $_[0] } }

sub request
{
    my ($path, %opt) = @_;
    return [
        [':method', $opt{method} // 'GET'], [':scheme', 'https'], [':path', $path],
        [':authority', $opt{host} // 'localhost'], @{ $opt{fields} // [] },
    ];
}

sub headers
{
    my ($self, $stream, $fields, %opt) = @_;
    return $self->send(HEADERS, END_HEADERS | ($opt{end} // 1 ? END_STREAM : 0), $stream, block($fields));
}

sub get { my ($self, $stream, $path, %opt) = @_; return $self->headers($stream, request($path, %opt)) }

# Reads what is there, waiting at most that long.
sub fill
{
    my ($self, $wait) = @_;
    return 0 if $self->{eof};
    IO::Select->new($self->{sock})->can_read($wait) if !$self->{sock}->pending;
    my $n = $self->{sock}->sysread(my $some, 65536);
    if (!defined $n) {
        $self->{eof} = 1 if !$!{EAGAIN} && !$!{EWOULDBLOCK} && $IO::Socket::SSL::SSL_ERROR !~ /wants a/;
        return 0;
    }
    $self->{eof} = 1 if !$n;
    $self->{in} .= $some;
    while (length $self->{in} >= 9) {
        my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $self->{in};
        my $len = $high << 16 | $low;
        last if length $self->{in} < 9 + $len;
        push @{ $self->{frames} },
          { type => $type, flags => $flags, stream => $stream & 0x7fffffff, payload => substr $self->{in}, 9, $len };
        substr($self->{in}, 0, 9 + $len, '');
    }
    return $n;
}

# The first frame for which the test holds, and forgets what came before it; undef at the end.
sub frame
{
    my ($self, $test, $wait) = @_;
    my $end = time + ($wait // DEADLINE);
    while (1) {
        while (my $f = shift @{ $self->{frames} }) {
            $self->{seen}{ $f->{stream} }{data} .= $f->{payload} if $f->{type} == DATA;
            local $_ = $f;
            return $f if $test->();
        }
        return undef if $self->{eof} || time > $end;
        $self->fill(0.2);
    }
}

my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304, 0x8c => 400, 0x8d => 404, 0x8e => 500);
my %digit = ((map { sprintf('%05b', $_) => $_ } 0 .. 2), (map { sprintf('%06b', $_ + 22) => $_ } 3 .. 9));

sub status_of
{
    my ($block) = @_;
    $block =~ s/^(?:[\x20-\x3f])+//;    # changes of the table's size
    my ($first, $len) = unpack 'CC', $block;
    return $indexed{$first} if $indexed{$first};
    return '?' if $first != 0x08 && $first != 0x48 && $first != 0x18;
    my $text = substr $block, 2, $len & 127;
    return $text if !($len & 128);
    my $bits = unpack 'B*', $text;
    my $out = '';
    while (length $out < 3) {
        $bits =~ s/^(0000[01]|00010|011\d\d\d)// or return '?';
        $out .= $digit{$1};
    }
    return $out;
}

# The status of the next head for that stream: "R" and the error of a reset, or "G" of a GOAWAY.
sub status
{
    my ($self, $stream, $wait) = @_;
    my $f = $self->frame(sub { ($_->{type} == HEADERS || $_->{type} == RST_STREAM) && $_->{stream} == $stream || $_->{type} == GOAWAY }, $wait)
      or return $self->{eof} ? 'end' : 'nothing';
    return 'R' . unpack('N', $f->{payload}) if $f->{type} == RST_STREAM;
    return 'G' . unpack('x4N', $f->{payload}) if $f->{type} == GOAWAY;
    return status_of($f->{payload});
}

# Reads a body to its end; "cut" if it is reset.
sub body
{
    my ($self, $stream) = @_;
    my $f = $self->frame(sub { $_->{stream} == $stream && ($_->{type} == RST_STREAM || $_->{flags} & END_STREAM) && $_->{type} != SETTINGS });
    return 'cut' if !$f || $f->{type} == RST_STREAM;
    return $self->{seen}{$stream}{data} // '';
}

sub closed
{
    my ($self, $wait) = @_;
    $self->frame(sub { 0 }, $wait);
    return $self->{eof};
}

sub close { my ($self) = @_; $self->{conn}->close; return 1 }

1;
