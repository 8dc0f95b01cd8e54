# Scripted.pm: a backend whose responses are scripted. Part of PasGate.pm, which loads it.
package PasGate::Scripted;
use strict;
use warnings;
use IO::Select;
use POSIX qw(_exit);
use Time::HiRes qw(time);

# Options:
#   reply  the bytes of every response, or code that gets (request bytes, number of the
#          connection, number of the request on it) and returns them; a list element that is a
#          number waits that many seconds, undef closes, 'RESET' resets
#   serve  code that gets (socket, recorder, number of the connection) and does everything
#          itself; recorder->(bytes) records what it read
# Every received byte is recorded: ->seen returns one string per connection, in order.
sub new
{
    my ($class, %opt) = @_;
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => $opt{port} // 0,
        ReuseAddr => 1) or die "listen: $!";
    my $self = bless { id => $opt{id} // 'scripted' . $listen->sockport,
        port => $listen->sockport, dir => PasGate::tmp('raw' . $listen->sockport) }, $class;
    mkdir $self->{dir};
    my $parent = $$;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        setpgrp;
        $SIG{CHLD} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';
        my ($n, $ready) = (0, IO::Select->new($listen));
        while (getppid == $parent) {
            $ready->can_read(1) or next;
            my $sock = $listen->accept or next;
            my $file = sprintf '%s/%06d', $self->{dir}, ++$n;
            open my $record, '>>', $file or _exit(1);
            $record->autoflush(1);
            my $pid = fork // _exit(1);
            next if $pid;
            CORE::close($listen);
            my $recorder = sub { print $record $_[0] };
            my $serve = $opt{serve} // sub { _serve(@_, $opt{reply}) };
            eval { $serve->($sock, $recorder, $n) };
            CORE::close($sock);
            _exit(0);
        }
        _exit(0);
    }
    CORE::close($listen);
    PasGate::remember($self);
    return $self;
}

my $default = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

sub _serve
{
    my ($sock, $record, $n, $reply) = @_;
    my ($buf, $count) = ('', 0);
    while (1) {
        my $request = read_request($sock, \$buf, $record) // return;
        my @bytes = ref $reply ? $reply->($request, $n, ++$count) : $reply // $default;
        for (@bytes) {
            return if !defined;
            if ($_ eq 'RESET') {
                setsockopt $sock, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'll', 1, 0;
                return;
            }
            if (/^[\d.]+\z/) {
                Time::HiRes::sleep($_);
            } else {
                my $done = 0;
                while ($done < length) {
                    $done += syswrite($sock, $_, length($_) - $done, $done) // return;
                }
            }
        }
    }
}

# Reads one whole request from a socket, unchanged; undef at end of file.
sub read_request
{
    my ($sock, $buf, $record) = @_;
    my $more = sub {
        my $n = sysread $sock, my $piece, 65536;
        return 0 unless $n;
        $record->($piece) if $record;
        $$buf .= $piece;
        return 1;
    };
    until ($$buf =~ /\r\n\r\n/) { $more->() or return undef }
    my ($head) = $$buf =~ /^(.*?\r\n\r\n)/s;
    my $length = length $head;
    if ($head =~ /^Transfer-Encoding:.*chunked/mi) {
        while (1) {
            my $line;    # captures do not outlive the loop that they were made in
            until (($line) = substr($$buf, $length) =~ /^([0-9a-fA-F]+[^\n]*\n)/) { $more->() or return undef }
            my ($size) = map { hex } $line =~ /^([0-9a-fA-F]+)/;
            $length += length($line) + $size + 2;
            while (length $$buf < $length) { $more->() or return undef }
            last unless $size;
        }
    } elsif ($head =~ /^Content-Length:\s*(\d+)/mi) {
        $length += $1;
        while (length $$buf < $length) { $more->() or return undef }
    }
    return substr $$buf, 0, $length, '';
}

# The received bytes: one string per connection that sent anything.
sub seen
{
    my ($self) = @_;
    return grep { length } map { PasGate::slurp($_) } sort glob "$self->{dir}/*";
}

sub connections { my ($self) = @_; return scalar(my @files = glob "$self->{dir}/*") }

# Forgets the bytes received so far.
sub clear
{
    my ($self) = @_;
    truncate $_, 0 for glob "$self->{dir}/*";
}

sub end
{
    my ($self) = @_;
    my $pid = delete $self->{pid} // return 1;
    PasGate::forget($self);
    CORE::kill('KILL', -$pid);
    CORE::kill('KILL', $pid);
    PasGate::reap($pid, 5);
    return 1;
}

1;
