# OpenLoop.pm: requests at a fixed rate, whatever the answers do (t/tools/openloop.c). A part of
# PasGate.pm, which loads it.
package PasGate::OpenLoop;
use strict;
use warnings;
use JSON::PP;

my $count = 0;

# Sends until ->stop, to $gate (or { tls => port }). Options: rate (per second), path, nice (its
# own; a client that has to wait for the machine takes that for a slow answer), more (flags of the
# tool).
sub new
{
    my ($class, $gate, %opt) = @_;
    my $self = bless { file => PasGate::tmp("openloop$$-" . ++$count) }, $class;
    my @nice = $opt{nice} ? ('nice', '-n', $opt{nice}) : ();
    $self->{pid} = PasGate::spawn("$self->{file}.log", @nice, PasGate::tool('t/tools/openloop'), '-r', $opt{rate}, '-d', 0,
        '-s', $self->{file}, @{ $opt{more} // [] }, "https://127.0.0.1:$gate->{tls}" . ($opt{path} // '/pas/get'));
    PasGate::remember($self);
    return $self;
}

# The tool's summary so far, up to a second old.
sub now { return eval { decode_json(PasGate::slurp($_[0]{file})) } // {} }

# Ends it; its summary.
sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid};
    kill 'TERM', $pid;
    PasGate::reap($pid, 30);
    PasGate::forget($self);
    return $self->now;
}

# Ends it; a test: something was asked, and nothing failed. Returns the summary.
sub stop_ok
{
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $sum = $self->stop;
    Test::More::ok($sum->{requests} && !$sum->{failed}, $name // "none of $sum->{requests} requests failed")
      or Test::More::diag("$sum->{failed} of $sum->{requests} failed:", map {"\n  $_"} @{ $sum->{first_errors} // [] });
    return $sum;
}

sub end { my ($self) = @_; $self->stop if $self->{pid}; return 1 }

1;
