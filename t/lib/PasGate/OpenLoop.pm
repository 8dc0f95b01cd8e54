# OpenLoop.pm: requests at a fixed rate, independent of the responses (t/tools/openloop.c). Part of
# PasGate.pm, which loads it.
package PasGate::OpenLoop;
use strict;
use warnings;
use JSON::PP;

my $count = 0;

# Sends requests until ->stop, to $gate (or { tls => port }). Options: rate (per second), path, nice
# (of the client; if it has to wait for the CPU, it counts that as a slow response), more (flags of
# the tool).
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

# The tool's current summary, up to a second old.
sub now { return eval { decode_json(PasGate::slurp($_[0]{file})) } // {} }

# Ends it; returns its summary.
sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid};
    kill 'TERM', $pid;
    PasGate::reap($pid, 30);
    PasGate::forget($self);
    return $self->now;
}

# Ends it. Counts as a test: at least one request, no failure. Returns the summary.
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
