# StandIn.pm: a stand-in for PAS. Part of PasGate.pm, which loads it.
package PasGate::StandIn;
use strict;
use warnings;
use JSON::PP;

# Starts pas-httpbin with this id; further options go to its command line.
sub new
{
    my ($class, $id, @args) = @_;
    my ($port, $ctl) = PasGate::free_ports(2);
    my $self = bless { id => $id, port => $port, ctl => $ctl, args => \@args,
        log => PasGate::tmp("$id.log") }, $class;
    return $self->start;
}

sub start
{
    my ($self) = @_;
    $self->{pid} = PasGate::spawn($self->{log}, PasGate::tool('pas-httpbin'), '-p', $self->{port},
        '-c', $self->{ctl}, '-i', $self->{id}, @{ $self->{args} });
    PasGate::remember($self);
    PasGate::wait_for {
        eval { PasGate::Conn->new($self->{$_}, timeout => 1)->close for qw(port ctl); 1 };
    } or die "stand-in $self->{id} does not start: " . PasGate::slurp($self->{log});
    return $self;
}

# Sends a command to its control port: ->ctl('mode=hang'). Returns the response.
sub ctl
{
    my ($self, $query) = @_;
    my $c = PasGate::Conn->new($self->{ctl}, timeout => 5);
    my $r = $c->request('GET', "/ctl?$query", close => 1);
    $c->close;
    die "ctl $query: $r->{status} $r->{body}" unless $r->{status} == 200;
    return $r->{body};
}

# Kills it, as docker kill does; start() starts it again on the same ports.
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
