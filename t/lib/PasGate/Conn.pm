# Conn.pm: one client connection. Part of PasGate.pm, which loads it.
package PasGate::Conn;
use strict;
use warnings;
use IO::Select;
use IO::Socket::SSL;
use Socket qw(SO_LINGER SOL_SOCKET IPPROTO_TCP TCP_MAXSEG TCP_NODELAY);
use Time::HiRes qw(time);

my $context;

# Options: tls => 1, host => 'localhost', timeout => seconds for each step, rcvbuf => bytes, mss => bytes
# (with rcvbuf: small segments let the other side's kernel keep little), from => our address, and all
# options of IO::Socket::SSL. Dies if it cannot connect.
sub new
{
    my ($class, $port, %opt) = @_;
    my $timeout = delete $opt{timeout} // PasGate::DEADLINE();
    my $host    = delete $opt{host}    // 'localhost';
    my $tls     = delete $opt{tls};
    my $rcvbuf  = delete $opt{rcvbuf};
    my $from    = delete $opt{from};
    my $mss     = delete $opt{mss};
    my $sock    = IO::Socket::INET->new(Proto => 'tcp', Type => Socket::SOCK_STREAM(),
        $from ? (LocalAddr => $from) : (), $rcvbuf ? () : (PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => $timeout));
    die "connect to $port: $@ $!\n" unless $sock;
    if ($rcvbuf) {
        setsockopt $sock, SOL_SOCKET, Socket::SO_RCVBUF(), $rcvbuf;
        setsockopt $sock, IPPROTO_TCP, TCP_MAXSEG, $mss if $mss;
        CORE::connect($sock, Socket::pack_sockaddr_in($port, Socket::inet_aton('127.0.0.1')))
          or die "connect to $port: $!\n";
    }
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    if ($tls) {
        # One context for all connections without special options: each loads all CAs of the system.
        $context //= IO::Socket::SSL::SSL_Context->new(
            SSL_verifycn_scheme => 'none', SSL_verify_mode => SSL_VERIFY_NONE);
        IO::Socket::SSL->start_SSL($sock,
            SSL_hostname => $host,
            SSL_verifycn_scheme => 'none',
            SSL_verify_mode => SSL_VERIFY_NONE,
            (grep { /^SSL_/ } keys %opt) ? () : (SSL_reuse_ctx => $context),
            Timeout => $timeout,
            %opt) or die "TLS to $port: $SSL_ERROR\n";
    }
    $sock->blocking(0);
    return bless { sock => $sock, tls => $tls, buf => '', timeout => $timeout,
        host => "$host:$port", eof => 0 }, $class;
}

sub _wait
{
    my ($self, $write, $end) = @_;
    my $set = IO::Select->new($self->{sock});
    while ((my $left = $end - time) > 0) {
        local $! = 0;
        return 1 if $write ? $set->can_write($left) : $set->can_read($left);
        return 0 unless $!{EINTR};
    }
    return 0;
}

# Sends all bytes; returns how many were sent (fewer: the peer is gone, or too slow).
sub write
{
    my ($self, $bytes, %opt) = @_;
    my $end  = time + ($opt{timeout} // $self->{timeout});
    my $done = 0;
    while ($done < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, length($bytes) - $done > 16384 ? 16384 : length($bytes) - $done, $done;
        if (defined $n) {
            $done += $n;
            next;
        }
        last unless $!{EAGAIN} || $!{EINTR} || ($self->{tls} && $SSL_ERROR == SSL_WANT_WRITE)
          || ($self->{tls} && $SSL_ERROR == SSL_WANT_READ);
        my $for_read = $self->{tls} && $SSL_ERROR == SSL_WANT_READ;
        $self->_wait(!$for_read, $end) or last;
    }
    return $done;
}

# Reads more bytes into the buffer; false at end of file or after the timeout. ->{eof} tells which
# one it was ('reset' for an error).
sub fill
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // $self->{timeout});
    while (!$self->{eof}) {
        my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
        return $n if $n;
        if (defined $n) {
            $self->{eof} = 'eof';
        } elsif ($!{EAGAIN} || $!{EINTR} || ($self->{tls} && $SSL_ERROR == SSL_WANT_READ)) {
            $self->_wait(0, $end) or return 0;
        } else {
            $self->{eof} = 'reset';
        }
    }
    return 0;
}

# Reads until the peer closes; ->{eof} is false if it did not within the timeout.
sub rest
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // $self->{timeout});
    1 while $self->fill($end - time > 0 ? $end - time : 0);
    my $all = $self->{buf};
    $self->{buf} = '';
    return $all;
}

# True if the peer closes within the timeout without sending anything more.
sub closed
{
    my ($self, $timeout) = @_;
    my $rest = $self->rest($timeout);
    return $self->{eof} && $rest eq '';
}

sub _need
{
    my ($self, $n, $end) = @_;
    while (length $self->{buf} < $n) {
        $self->fill($end - time) or return 0;
    }
    return 1;
}

sub _line
{
    my ($self, $end) = @_;
    while ($self->{buf} !~ /\n/) {
        $self->fill($end - time) or return undef;
    }
    $self->{buf} =~ s/^(.*?)\r?\n//s;
    return $1;
}

# Builds a request. Options: body, chunked (list of pieces), headers ([name, value] list),
# host, close, version, expect.
sub build
{
    my ($self, $method, $target, %opt) = @_;
    my @h = (['Host', $opt{host} // $self->{host}]);
    push @h, @{ $opt{headers} // [] };
    push @h, ['Connection', 'close'] if $opt{close};
    my $body = $opt{body} // '';
    if ($opt{chunked}) {
        push @h, ['Transfer-Encoding', 'chunked'];
        $body = join '', map({ sprintf("%x\r\n%s\r\n", length, $_) } @{ $opt{chunked} }), "0\r\n\r\n";
    } elsif (defined $opt{body}) {
        push @h, ['Content-Length', length $body];
    }
    @h = grep { defined $_->[1] } @h;
    return join '', "$method $target " . ($opt{version} // 'HTTP/1.1') . "\r\n",
      map({ "$_->[0]: $_->[1]\r\n" } @h), "\r\n", $body;
}

# Sends a request and returns its response.
sub request
{
    my ($self, $method, $target, %opt) = @_;
    $self->write($self->build($method, $target, %opt));
    return $self->response($method, %opt);
}

# Reads one response: { status, reason, head, fields => [[name, value]...], h => {name => value},
# body, interim => [heads], complete }. Returns { status => 0, why } if there is none.
# Options: timeout; discard => 1 counts the body in {length} without keeping it.
sub response
{
    my ($self, $method, %opt) = @_;
    my $end = time + ($opt{timeout} // $self->{timeout});
    my @interim;
    my $r;
    while (1) {
        while ($self->{buf} !~ /\r\n\r\n/) {
            $self->fill($end - time)
              or return { status => 0, why => $self->{eof} || 'timeout', interim => \@interim,
                body => '', h => {}, fields => [], head => $self->{buf}, complete => 0 };
        }
        $self->{buf} =~ s/^(.*?\r\n)\r\n//s;
        $r = _head($1);
        last if $r->{status} >= 200 || $r->{status} == 101 || $r->{status} == 0;
        push @interim, $r->{head};
    }
    $r->{interim} = \@interim;
    $r->{body} = '';
    $r->{length} = 0;
    my $keep = sub {
        $r->{length} += length $_[0];
        $r->{body} .= $_[0] unless $opt{discard};
    };
    $r->{complete} = $self->_body($r, $method, $end, $keep);
    return $r;
}

sub _head
{
    my ($head) = @_;
    my ($first, @lines) = split /\r\n/, $head;
    my ($version, $status, $reason) = $first =~ m{^(HTTP/\d\.\d) (\d{3}) ?(.*)$};
    my (@fields, %h);
    for (@lines) {
        my ($name, $value) = /^([^:]+):[ \t]*(.*?)[ \t]*$/ or next;
        push @fields, [$name, $value];
        $h{ lc $name } = exists $h{ lc $name } ? $h{ lc $name } . ', ' . $value : $value;
    }
    return { version => $version, status => $status // 0, reason => $reason, head => $head,
        fields => \@fields, h => \%h };
}

sub _body
{
    my ($self, $r, $method, $end, $keep) = @_;
    return 1 if $method eq 'HEAD' || $r->{status} =~ /^(?:101|204|304)$/;
    if (($r->{h}{'transfer-encoding'} // '') =~ /chunked/i) {
        while (1) {
            my $size = hex(($self->_line($end) // return 0) =~ s/;.*//r);
            last unless $size;
            $self->_take($size, $end, $keep) && defined $self->_line($end) or return 0;
        }
        while (1) {
            my $line = $self->_line($end) // return 0;
            return 1 if $line eq '';
            push @{ $r->{trailers} }, $line;
        }
    }
    if (defined $r->{h}{'content-length'}) {
        return $self->_take($r->{h}{'content-length'}, $end, $keep);
    }
    do {
        $keep->($self->{buf});
        $self->{buf} = '';
    } while ($self->fill($end - time));
    return $self->{eof} eq 'eof';
}

sub _take
{
    my ($self, $left, $end, $keep) = @_;
    while ($left > 0) {
        length $self->{buf} or $self->fill($end - time) or return 0;
        my $piece = substr $self->{buf}, 0, $left, '';
        $keep->($piece);
        $left -= length $piece;
    }
    return 1;
}

# Closes with a reset instead of a FIN.
sub abort
{
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
    $self->{tls} ? $self->{sock}->close(SSL_no_shutdown => 1) : close $self->{sock};
}

sub half_close { shutdown $_[0]{sock}, 1 }

sub close
{
    my ($self) = @_;
    $self->{tls} ? $self->{sock}->close(SSL_fast_shutdown => 1) : CORE::close($self->{sock});
}

1;
