# FaultProxy.pm: a proxy in front of a Pebble that applies faults of networks and CAs to its replies.
#
#     my $bad = FaultProxy->new($ca, [qr{^/order-plz}, 1, sub { my ($reply) = @_; ... }], ...);
#
# Each rule has a path (or code that gets the path and returns true), how often it applies (0:
# always), and code for the reply { status, headers => {lower case}, body }. The code changes the
# reply, or returns a text that is sent as it is instead, or 'lost': the connection is closed
# without a reply. With a true fourth value, the CA never gets the request. Pebble builds its URLs
# from Host, which is kept, so the whole conversation passes through here. One request at a time,
# one per connection. From $bad->hang(1) until hang(0), connections are accepted but get no reply.
package FaultProxy;
use strict;
use warnings;
use IO::Select;
use IO::Socket::SSL;
use PasGate;
use POSIX ();

my $count = 0;

sub new
{
    my ($class, $ca, @rules) = @_;
    my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', LocalPort => 0)
      or die "listen: $!";
    my $self = bless { ca => $ca, port => $listener->sockport, n => ++$count }, $class;
    $self->{paths} = tmp("proxy$self->{n}.paths");
    my $parent = $$;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        # No alarm to watch the parent: it would interrupt connections to the CA.
        my ($ready, @held) = (IO::Select->new($listener));
        while (getppid == $parent) {
            $ready->can_read(2) or next;
            my $socket = $listener->accept or next;
            if (-e "$self->{paths}.hang") { push @held, $socket; next }
            eval { $self->serve($socket, \@rules) };
        }
        POSIX::_exit(0);
    }
    PasGate::remember($self);
    return $self;
}

sub directory { return "https://127.0.0.1:$_[0]{port}/dir" }

sub hang
{
    my ($self, $yes) = @_;
    return $yes ? spew("$self->{paths}.hang", '') : unlink "$self->{paths}.hang";
}

# How often a path was requested.
sub seen
{
    my ($self, $pattern) = @_;
    return scalar grep { /$pattern/ } split /\n/, slurp($self->{paths});
}

sub read_message
{
    my ($from) = @_;
    my ($head, $body) = ('', '');
    while (defined(my $line = <$from>)) {
        $head .= $line;
        last if $line eq "\r\n";
    }
    if ($head =~ /^content-length:\s*(\d+)/im) {
        my $n = $1;    # of TLS, a read brings a record at most
        while (length $body < $n) { read $from, $body, $n - length $body, length $body or last }
    } elsif ($head =~ /^HTTP/) {    # a reply: to its end, as we asked for
        local $/;
        $body = <$from> // '';
        $body = unchunked($body) if $head =~ /^transfer-encoding:/im;
    }
    return ($head, $body);
}

sub unchunked
{
    my ($from) = @_;
    my $to = '';
    while ($from =~ s/^([0-9a-f]+)\r\n//i && hex $1) {
        my $n = hex $1;
        $to .= substr $from, 0, $n, '';
        $from =~ s/^\r\n//;
    }
    return $to;
}

sub serve
{
    my ($self, $socket, $rules) = @_;
    my $client = IO::Socket::SSL->start_SSL($socket, SSL_server => 1,
        SSL_cert_file => $self->{ca}{chain}, SSL_key_file => $self->{ca}{key}) or return;
    my ($head, $body) = read_message($client);
    my ($method, $path) = $head =~ m{^(\S+) (\S+)} or return;
    open my $out, '>>', $self->{paths} or die;
    print $out "$method $path\n";
    close $out;

    my ($rule) = grep { $_->[1] >= 0 && (ref $_->[0] eq 'CODE' ? $_->[0]->($path) : $path =~ $_->[0]) } @$rules;
    if ($rule && $rule->[1] > 0) { $rule->[1] = -1 if --$rule->[1] == 0 }
    my %reply = (status => '200 OK', headers => {}, body => '');
    if (!$rule || !$rule->[3]) {
        my $upstream = IO::Socket::SSL->new(PeerAddr => "127.0.0.1:$self->{ca}{port}",
            SSL_verify_mode => SSL_VERIFY_NONE) or return;
        $head =~ s/\r\n\r\n$/\r\nConnection: close\r\n\r\n/;
        print $upstream $head, $body;
        my ($h, $b) = $method eq 'HEAD' ? (do { local $/; <$upstream> }, '') : read_message($upstream);
        ($reply{status}) = $h =~ m{^HTTP/1.1 ([^\r\n]*)};
        push @{ $reply{headers}{ lc $1 } }, $2 while $h =~ /^([\w-]+):[ \t]*([^\r\n]*)/mg;
        $reply{body} = $b;
    }
    my $instead = $rule ? $rule->[2]->(\%reply) : undef;
    return if ref \$instead eq 'SCALAR' && ($instead // '') eq 'lost';
    delete @{ $reply{headers} }{qw(content-length connection transfer-encoding)};
    my $length = length $reply{body};
    print $client defined $instead && $instead =~ /^HTTP/ ? $instead : join('',
        "HTTP/1.1 $reply{status}\r\n",
        (map { my $name = $_; map { "$name: $_\r\n" } @{ $reply{headers}{$name} } } sort keys %{ $reply{headers} }),
        "Content-Length: $length\r\nConnection: close\r\n\r\n", $method eq 'HEAD' ? '' : $reply{body});
    close $client;
}

sub end
{
    my ($self) = @_;
    PasGate::forget($self);
    my $pid = delete $self->{pid} or return 1;
    kill 'TERM', $pid;
    PasGate::reap($pid, 5);
    return 1;
}

1;
