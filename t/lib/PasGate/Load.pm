# Load.pm: clients in the background. Part of PasGate.pm, which loads it.
package PasGate::Load;
use strict;
use warnings;
use JSON::PP;
use POSIX qw(_exit);
use Time::HiRes qw(time sleep);

# Starts clients that send requests until ->stop. Options: clients (4), path, close (a new
# connection for each request), plain, pause (seconds between two requests), method, body. An idle
# connection that the server closed is opened again; every other error is recorded as a failure
# with its time.
sub new
{
    my ($class, $gate, %opt) = @_;
    my $self = bless { jobs => [] }, $class;
    for my $n (1 .. $opt{clients} // 4) {
        pipe(my $r, my $w) or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $r;
            my $result = eval { _client($gate, %opt) } // { done => 0, failures => [[time, "$@"]] };
            print $w encode_json($result);
            close $w;
            _exit(0);
        }
        close $w;
        push @{ $self->{jobs} }, [$pid, $r];
    }
    PasGate::remember($self);
    return $self;
}

sub _client
{
    my ($gate, %opt) = @_;
    my ($stop, $done, @failures, $c, $used, %by) = (0, 0);
    local $SIG{TERM} = sub { $stop = 1 };
    while (!$stop) {
        $c //= do {
            $used = 0;
            eval { $gate->connect(plain => $opt{plain}, timeout => 10) } // do {
                push @failures, [time, "connect: $@"];
                sleep 0.02;
                next;
            };
        };
        my $r = $c->request($opt{method} // 'GET', $opt{path} // '/pas/get', timeout => 10,
            close => $opt{close}, defined $opt{body} ? (body => $opt{body}) : ());
        if ($r->{status} == 0 && $r->{head} eq '' && $used && $r->{why} ne 'timeout' && !$opt{strict}) {
            push @{ $by{closed} }, time;    # closed between two requests: counted separately
            undef $c;
            next;
        }
        if ($r->{status} != 200 || !$r->{complete}) {
            push @failures, [time, "status $r->{status} " . ($r->{why} // '') . substr($r->{body}, 0, 80)];
            undef $c;
            next;
        }
        $done++;
        $used = 1;
        undef $c if $opt{close} || ($r->{h}{connection} // '') =~ /close/i;
        sleep $opt{pause} if $opt{pause};
    }
    return { done => $done, failures => \@failures, closed => scalar @{ $by{closed} // [] } };
}

# Ends the clients: { done, failures => [[time, what]...], closed }.
sub stop
{
    my ($self) = @_;
    my %sum = (done => 0, failures => [], closed => 0);
    kill 'TERM', map { $_->[0] } @{ $self->{jobs} };
    for (@{ delete $self->{jobs} // [] }) {
        my ($pid, $r) = @$_;
        local $/;
        my $text = <$r>;
        waitpid $pid, 0;
        my $one = eval { decode_json($text) } // { done => 0, failures => [[time, 'client died']] };
        $sum{done}   += $one->{done};
        $sum{closed} += $one->{closed} // 0;
        push @{ $sum{failures} }, @{ $one->{failures} };
    }
    PasGate::forget($self);
    return \%sum;
}

# Ends the clients. Counts as a test: at least one request, no failure. Returns the sum.
sub stop_ok
{
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $sum = $self->stop;
    my @failures = @{ $sum->{failures} };
    Test::More::ok($sum->{done} && !@failures, $name // "none of $sum->{done} requests failed")
      or Test::More::diag("$sum->{done} done, " . @failures . ' failed:',
        map { sprintf "\n  at %.3f: %s", @$_ } @failures > 8 ? @failures[0 .. 7] : @failures);
    return $sum;
}

sub end { $_[0]->stop; return 1 }

1;
