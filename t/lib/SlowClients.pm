# SlowClients.pm: what the tests of slow clients look at.
package SlowClients;
use strict;
use warnings;
use Exporter 'import';
use PasGate;

our @EXPORT = qw(in_flight total lines all_get);

# Over all backends.
sub in_flight
{
    my ($gate) = @_;
    my $sum = 0;
    $sum += $_->{in_flight} // 0 for @{ $gate->status->{backends} // [] };
    return $sum;
}

sub total { return $_[0]->status->{totals}{ $_[1] } // 0 }

# The lines of the access log that match, as soon as there are $n.
sub lines
{
    my ($gate, $n, $match) = @_;
    my @lines;
    wait_for { @lines = grep { $match->() } $gate->access; @lines >= $n };
    return @lines;
}

# $n requests, each on a connection of its own: what came of them.
sub all_get
{
    my ($gate, $n, $path) = @_;
    my %status;
    $status{ $gate->get($path // '/pas/get', plain => 1)->{status} }++ for 1 .. $n;
    return \%status;
}

1;
