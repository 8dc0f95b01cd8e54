# SlowClients.pm: helpers for the tests of slow clients.
package SlowClients;
use strict;
use warnings;
use Exporter 'import';
use PasGate;

our @EXPORT = qw(in_flight total lines all_get);

# The sum over all backends.
sub in_flight
{
    my ($gate) = @_;
    my $sum = 0;
    $sum += $_->{in_flight} // 0 for @{ $gate->status->{backends} // [] };
    return $sum;
}

sub total { return $_[0]->status->{totals}{ $_[1] } // 0 }

# Waits for $n matching lines of the access log; returns them.
sub lines
{
    my ($gate, $n, $match) = @_;
    my @lines;
    wait_for { @lines = grep { $match->() } $gate->access; @lines >= $n };
    return @lines;
}

# Sends $n requests, each on its own connection; returns the results.
sub all_get
{
    my ($gate, $n, $path) = @_;
    my %status;
    $status{ $gate->get($path // '/pas/get', plain => 1)->{status} }++ for 1 .. $n;
    return \%status;
}

1;
