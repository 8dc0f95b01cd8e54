# Relay.pm: haproxy as a relay of bytes in front of a stand-in or a scripted backend, where that has to
# be reached by TLS, by a unix socket or with a PROXY header. Part of PasGate.pm, which loads it.
package PasGate::Relay;
use strict;
use warnings;

# Starts it in front of $to. Options:
#   bind    what follows the address: 'ssl crt FILE', 'accept-proxy'
#   socket  path of a unix socket to listen on, instead of a port
#   mode    'http' instead of 'tcp', with more lines of the backend in more
#   port    its port, if it must be this one
sub new
{
    my ($class, $to, %opt) = @_;
    my $self = bless { id => $to->{id}, to => $to, bind => '', mode => 'tcp', more => '', %opt }, $class;
    $self->{port} //= PasGate::free_port() if !$self->{socket};
    return $self->start;
}

sub start
{
    my ($self, %change) = @_;
    $self->{$_} = $change{$_} for keys %change;
    my $name = $self->{port} // $self->{socket} =~ s{.*/}{}r;
    my $where = $self->{socket} ? "unix\@$self->{socket} mode 666" : "127.0.0.1:$self->{port}";
    my $file = PasGate::spew(PasGate::tmp("relay$name.cfg"), <<"END");
global
    maxconn 2000
    ssl-default-bind-options ssl-min-ver TLSv1.0
    tune.ssl.default-dh-param 2048
defaults
    mode $self->{mode}
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    timeout connect 5s
listen relay
    bind $where $self->{bind}
    $self->{more}
    server s 127.0.0.1:$self->{to}{port}
END
    $self->{log} = PasGate::tmp("relay$name.log");
    $self->{pid} = PasGate::spawn($self->{log}, $ENV{HAPROXY} // '/usr/sbin/haproxy', '-db', '-f', $file);
    PasGate::remember($self);
    my $listening = $self->{socket}
      ? sub { IO::Socket::UNIX->new(Peer => $self->{socket}) }
      : sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}") };
    PasGate::wait_for { $listening->() }
      or die "no relay at $where: " . PasGate::slurp($self->{log});
    return $self;
}

sub kill
{
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} // return 1;
    PasGate::forget($self);
    CORE::kill($signal // 'KILL', $pid);
    defined PasGate::reap($pid, 5) or CORE::kill('KILL', $pid) and PasGate::reap($pid, 5);
    return 1;
}

sub end { return $_[0]->kill('TERM') }

1;
