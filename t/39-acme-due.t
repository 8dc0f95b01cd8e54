#!/usr/bin/perl
# Certificates of a CA near their end, at a start of the whole service: what is due is spread over
# an hour, what is urgent and what is a first one comes at once; and when it cannot be had, the
# hook hears that it expires. Their dates are made, in the store, so that nothing is waited for.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant { HOUR => 3600_000, DAY => 86400_000 };

sub now { return int(1000 * time) }

# In place of what is live: as if a CA had made a certificate of 90 days, of which so many are left.
sub give
{
    my ($gate, $name, $left, @names) = @_;
    my $store  = $gate->{store};
    my @owner  = (stat "$store/certs")[4, 5];
    my $folder = "$store/certs/$name/2";
    (undef, my $key) = PasGate::make_cert($name, @names);
    my $chain = make_dated(tmp("$name.csr"), $left - 90, $left, join ',', map { "DNS:$_" } @names);
    mkdir $folder or die "$folder: $!";
    spew("$folder/fullchain.pem", slurp($chain));
    spew("$folder/key.pem", slurp($key));
    spew("$folder/meta", "source=acme\n");
    chown @owner, $folder, glob "$folder/*";
    unlink "$store/certs/$name/current";
    symlink 2, "$store/certs/$name/current" or die "$folder: $!";
}

# And as if its service had known of it: { renew_at => ... }.
sub knew
{
    my ($gate, $name, %state) = @_;
    my $folder = "$gate->{store}/orders/$name";
    my @owner  = (stat "$gate->{store}/certs")[4, 5];
    mkdir $_ for "$gate->{store}/orders", $folder;
    spew("$folder/state", join '', map { "$_=$state{$_}\n" } sort keys %state);
    chown @owner, "$gate->{store}/orders", $folder, "$folder/state";
    chmod 0700, "$gate->{store}/orders", $folder;
}

sub state_by_name
{
    my ($gate, $name) = @_;
    return { map { /^(\w+)=(.*)$/ ? ($1 => $2) : () } split /\n/, slurp("$gate->{store}/orders/$name/state") };
}

sub wait_generation
{
    my ($gate, $name, $n) = @_;
    return wait_for(sub { my $row = cert_row($gate, $name); $row->{source} eq 'acme' && $row->{generation} == $n }, 90);
}

sub renew { my ($gate, $name, @more) = @_; return ($gate->cli('cert', 'renew', $name, @more))[0] }

sub orders { my ($ca) = @_; return $ca->said(qr/Added order "/) }

sub iso { my ($ms) = @_; return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(int($ms / 1000))) }

# A gate that has self-signed certificates only, stopped.
sub gate_before
{
    my ($ca, $names, %opt) = @_;
    my $certs = join ', ', map { qq({ names = [ "$_" ]; MORE }) } @$names;
    my $gate = acme_gate($ca, certs => $certs =~ s/MORE/self_signed = true;/gr, %opt);
    ok wait_for { my @made = glob "$gate->{store}/certs/*/current"; @made == @$names }, 'self-signed ones' or $gate->tell;
    $gate->stop_ok;
    $gate->write_config(certs => $certs =~ s/MORE//gr);
    return $gate;
}

subtest 'many are due at a start' => sub {
    my $ca    = Pebble->new;
    my @slept = map { "slept$_.shop.test" } 1 .. 8;    # their time came while nobody was there
    my @moved = map { "moved$_.shop.test" } 1 .. 4;    # nobody knows yet when it is
    my @due   = (@slept, @moved);
    my $gate  = gate_before($ca, [@due, 'urgent.shop.test', 'first.shop.test']);
    my $began = now();
    give($gate, $_, 10, $_) for @due;
    give($gate, 'urgent.shop.test', 3, 'urgent.shop.test');
    knew($gate, $_, generation => 2, renew_at => $began - 9 * DAY, ask_at => $began + HOUR) for @slept;
    $gate->start;
    ok wait_generation($gate, 'first.shop.test', 2), 'a first one comes at once' or $gate->tell;
    ok wait_generation($gate, 'urgent.shop.test', 3), 'so does what has few days left' or $gate->tell;

    # Chance may have given some of them a moment that has passed by now; so they are counted.
    my %at;
    ok wait_for(sub {
        for (@due) {
            my $state = state_by_name($gate, $_);
            $at{$_} //= ($state->{generation} // 0) > 2 ? 0 : ($state->{renew_at} // 0) > $began ? $state->{renew_at} : undef;
        }
        return @due == grep { defined } values %at;
    }, 60), 'each of the others has a time of its own' or $gate->tell;
    my $orders = orders($ca);
    my $passed = grep { $_ <= now() } values %at;
    cmp_ok $orders, '<=', 2 + $passed, "$orders orders, of which the times of $passed had come";
    my @at = sort { $a <=> $b } values %at;
    cmp_ok $at[-1], '<=', now() + HOUR, 'the last one within the hour';
    cmp_ok $at[-1] - $at[0], '>', HOUR / 6, 'all over it';
    my $later = sub { return scalar grep { $at{$_} > $began + HOUR / 30 } @_ };
    ok $later->(@slept) >= 4 && $later->(@moved) >= 1, 'most of them not in the first minutes'
      or diag join ' ', map { sprintf '%s: %d s', $_, ($at{$_} - $began) / 1000 } @due;

    $gate->stop_ok;
    $gate->start;
    ok wait_for(sub { !grep { !cert_row($gate, $_)->{next_try} } @due }, 60), 'after a restart';
    my %then = map { ($_ => state_by_name($gate, $_)->{renew_at}) } @due;
    my @still = grep { $at{$_} > now() } @due;
    is_deeply [@then{@still}], [@at{@still}], 'those times stay';
    is_deeply [map { cert_row($gate, $_)->{next_try} =~ s/\.\d+Z/Z/r } @still], [map { iso($at{$_}) } @still], 'and the status shows them';
    $passed = grep { $_ <= now() } values %at;
    cmp_ok orders($ca), '<=', 2 + $passed, 'nothing more is ordered';
    my ($some) = @still;
    my ($code, $said) = $gate->cli('cert', 'renew', $some, '--force');
    is $code, 0, 'nobody has to wait for that' or diag $said;
    $gate->stop_ok;
    $ca->end;
};

subtest 'killed in the middle of a renewal' => sub {
    my $ca = Pebble->new;
    my ($held, $go) = map { tmp($_) } 'held', 'go';
    my $proxy = FaultProxy->new($ca, [qr{^/finalize}, 1, sub { spew($held, ''); wait_for { -e $go } 60; return }]);
    my $name  = 'begun.shop.test';
    my $gate  = gate_before($ca, [$name], directory => $proxy->directory);
    give($gate, $name, 10, $name);
    for my $seconds (3, 10, 30) {    # it has to come due after the start, however long that takes
        my $soon = now() + 1000 * $seconds;
        knew($gate, $name, generation => 2, renew_at => $soon, ask_at => now() + HOUR);
        $gate->start;
        wait_for(sub { -e $held || (state_by_name($gate, $name)->{renew_at} // $soon) != $soon }, 60);
        last if -e $held;
        $gate->stop_ok('not in time');
    }
    ok -e $held, 'an order is under way' or $gate->tell;
    kill 'KILL', $gate->pids('acmed');
    spew($go, '');
    ok wait_generation($gate, $name, 3), 'the successor goes on at once' or $gate->tell;
    is orders($ca), 1, 'with that order';
    $gate->stop_ok;
    $_->end for $proxy, $ca;
};

subtest 'they cannot be had' => sub {
    my ($late, $early) = ('late.shop.test', 'early.shop.test');
    my $ca   = Pebble->new(more => { domainBlocklist => [$late, $early] });
    my $told = spew(tmp('told'), '');
    chmod 0666, $told;
    my $hook = spew(tmp('hook'), <<"END");
#!/bin/sh
names=\$(openssl x509 -in "\$PASGATE_CHAIN" -noout -ext subjectAltName | tail -1 | tr -d ' ')
echo "\$PASGATE_EVENT \$PASGATE_CERTIFICATE \$PASGATE_NAMES \$PASGATE_CHAIN \$PASGATE_KEY \$names: \$PASGATE_ERROR" >>$told
END
    chmod 0755, $hook;
    my $gate = gate_before($ca, [$late, $early], acme => qq(hook = "$hook";));
    give($gate, $late, 2, $late);      # of the 30 days for its renewal
    give($gate, $early, 25, $early);
    # So that nothing else but the call has to be written down afterwards.
    knew($gate, $late, generation => 2, renew_at => now() - DAY, ask_at => now() + HOUR);
    my $failures = sub { my ($name, $n) = @_; return wait_for(sub { (cert_row($gate, $name)->{failures} // 0) >= $n }, 60) };
    my $events = sub { my ($name) = @_; return map { /^(\w+) \Q$name\E / ? $1 : () } split /\n/, slurp($told) };

    $gate->start;
    ok $failures->($late, 1), 'a renewal fails' or $gate->tell;
    my $row = cert_row($gate, $late);
    like $row->{error}, qr/\S/, "the status says why: $row->{error}";
    ok $row->{next_try} gt iso(now()), "and when the next try comes: $row->{next_try}";
    is "$row->{source} $row->{generation}", 'acme 2', 'the old one is served';
    my $folder = "$gate->{store}/certs/$late/2";
    ok wait_for { $events->($late) }, 'the hook is told';
    like slurp($told), qr{^expiring $late $late $folder/fullchain\.pem $folder/key\.pem DNS:$late: \S.*$}m, 'that it expires, of which names, where its files are, and why';
    like +($gate->cli('status'))[1], qr/error: the CA does not sign \Q$late\E/, 'people see it, too';

    $gate->stop_ok;
    $gate->start;
    ok $failures->($late, 1), 'after a restart that is not forgotten';
    isnt renew($gate, $late), 0, "and it fails for the $_ time" for 'second', 'third';
    isnt renew($gate, $early, '--force'), 0, 'one that has more time cannot be had either';
    ok wait_for { $events->($early) }, 'which is told, too';
    is_deeply [$events->($early)], ['failed'], 'as what it is';
    # A second call would have come before that.
    is_deeply [$events->($late)], ['expiring'], 'the other one was told once' or diag slurp($told);
    $gate->stop_ok;

    my $state = state_by_name($gate, $late);
    knew($gate, $late, %$state, hook_at => $state->{hook_at} - HOUR);
    $gate->start;
    isnt renew($gate, $late), 0, 'an hour later';
    ok wait_for { $events->($late) > 1 }, 'it is told again';
    is_deeply [$events->($late)], [('expiring') x 2], 'and was not in between' or diag slurp($told);
    $gate->stop_ok;
    $ca->end;
};

done_testing;
