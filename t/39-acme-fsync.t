#!/usr/bin/perl
# What acmed writes survives a crash of the host: its system calls are looked at while a whole
# pasgate has a certificate ordered, renewed, rolled back and revoked. A file is synced before it
# gets its name, and the folder before anybody hears of it: the CA, the network helper, the workers.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use File::Basename qw(basename dirname);
use PasGate;
use Pebble;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my @tracer = qw(strace -D -ff -y -ttt -T -s 0 -e);
my @looked = qw(openat open creat write writev pwrite64 pwritev ftruncate fsync fdatasync rename renameat renameat2
  symlink symlinkat link linkat mkdir mkdirat sendto sendmsg);
my $watched = !$> && !(run_cmd('strace', '-o', '/dev/null', 'true'))[0];    # acmed lets nobody but root look
my $binary  = PasGate::binary();

# The binary as before, its calls written down: one file per process, "$trace.PID". Leaks cannot
# be looked for meanwhile.
sub traced
{
    my ($trace) = @_;
    return $binary if !$watched;
    my $known = join ',', grep { !(run_cmd('strace', '-o', '/dev/null', '-e', "trace=$_", 'true'))[0] } @looked;
    my $file = spew("$trace.sh", qq(#!/bin/sh\nASAN_OPTIONS="\${ASAN_OPTIONS:+\$ASAN_OPTIONS:}detect_leaks=0"\nexport ASAN_OPTIONS\n)
          . "exec @tracer trace=$known -o $trace $binary " . qq("\$@"\n));
    chmod 0755, $file;
    return $file;
}

# The calls of a process that went well: [moment of its end, call, arguments, path of its descriptor].
sub calls
{
    my ($file) = @_;
    wait_for { slurp($file) =~ /^\S+ \+\+\+ /m };    # written to its end
    my @calls;
    for (split /\n/, slurp($file)) {
        my ($at, $call, $args, $took) = /^([\d.]+) (\w+)\((.*)\) += [0-9].*<([\d.]+)>$/ or next;
        push @calls, [$at + $took, $call, $args, $args =~ /^\d+<([^>]*)>/];
    }
    return @calls;
}

# The paths that its arguments name, each below the folder before it.
sub paths
{
    my ($args) = @_;
    my ($at, @paths) = '';
    while ($args =~ /(?:AT_FDCWD|\d+)<([^>]*)>|"([^"]*)"/g) {
        my ($folder, $name) = ($1, $2);
        $at = $folder, next if defined $folder;
        push @paths, substr($name, 0, 1) eq '/' ? $name : "$at/$name";
    }
    return @paths;
}

# Follows what a crash of the host would leave: files that were written and not synced since, and
# names that were given and their folder not synced since. What is called .new-* does not count:
# a successor sweeps it up. Returns what is wrong; %$kept: path => [moments from which it is kept].
sub follow
{
    my ($store, $kept, @calls) = @_;
    my (%written, %named, @wrong);
    my $ours  = sub { return grep { m{^\Q$store\E(?:/|$)} } @_ };
    my $below = sub { my ($path, @of) = @_; return grep { m{^\Q$path\E(?:/|$)} } @of };
    my $given = sub { $named{ dirname $_ }{$_} = 1 for $ours->(@_) };
    my $heard = sub {
        my ($who) = @_;
        my @what = ((map { "$_ is not synced" } keys %written), map { "the folder of $_ is not synced" } map { keys %$_ } values %named);
        push @wrong, map { "$_ when $who" } sort grep { !m{/\.new-} } @what;
        %written = %named = ();    # told once
    };
    for (@calls) {
        my ($at, $call, $args, $fd) = @$_;
        if ($call =~ /^(?:open|creat)/) {
            my ($path) = $ours->(paths($args)) or next;
            $given->($path), $written{$path} = 1 if $call eq 'creat' || $args =~ /O_CREAT|O_TRUNC/;
        } elsif ($call =~ /sync$/) {
            delete $written{$fd};
            push @{ $kept->{$_} }, $at for keys %{ delete $named{$fd} // {} };
        } elsif ($call =~ /^mkdir/) {
            $given->(paths($args));
        } elsif ($call =~ /link/) {
            $given->((paths($args))[1]);
        } elsif ($call =~ /^rename/) {
            my ($from, $to) = paths($args);
            push @wrong, map { "$_ is not synced when it becomes $to" } sort $below->($from, keys %written, keys %named);
            delete $named{ dirname $from }{$from};
            $given->($to);
        } elsif ($ours->($fd // '')) {
            $written{$fd} = 1;
        } elsif ($call =~ /^send/ || ($fd // '') =~ /eventfd/) {
            $heard->("somebody hears of it ($call)");
        }
    }
    $heard->('the process ends');
    return @wrong;
}

# Has it been kept between these two moments?
sub kept_ok
{
    my ($kept, $path, $from, $to, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return pass $name if !$watched;
    my @moments = map { @{ $kept->{$_} } } grep { $_ =~ $path } keys %$kept;
    return ok scalar(grep { $_ > $from && $_ < $to } @moments), $name
      || diag sprintf '%s: kept at %s, not between %.6f and %.6f', $path, join(', ', map { sprintf '%.6f', $_ } sort @moments), $from, $to;
}

my %heard;    # by the CA: kind of request => [moments]
my $ca    = Pebble->new;
my $heard = tmp('heard');
spew($heard, '');
my $proxy = FaultProxy->new($ca, [sub {
    open my $out, '>>', $heard or die;
    printf $out "%.6f %s\n", time, $_[0] =~ m{^/([\w-]+)};
    close $out;
    return 0;
}, 0, sub { }]);
local $ENV{PASGATE} = traced(tmp('ordered'));
my $gate = acme_gate($ca, directory => $proxy->directory);
ok wait_issued($gate), 'a certificate is ordered' or $gate->tell;
is verified($gate, $ca, 'shop.test'), '', 'and served';
my $renewed = time;
my %began;
for (['renew', 'www.shop.test', '--force'], ['rollback', 'www.shop.test'], ['rollover'], ['revoke', 'www.shop.test']) {
    $began{ $_->[0] } = time;
    my ($code, $said) = $gate->cli('cert', @$_);
    is $code, 0, "cert @$_" or diag $said;
}
ok wait_row($gate, sub { $_->{source} eq 'acme' && $_->{generation} == 5 && !$_->{busy} }), 'what was revoked is replaced' or $gate->tell;
my ($acmed) = $gate->pids('acmed');
$gate->stop_ok;
push @{ $heard{ (split)[1] } }, (split)[0] for split /\n/, slurp($heard);
my $store = $gate->{store};

my %kept;
my @calls = $watched ? calls(tmp("ordered.$acmed")) : ();
SKIP: {
    $watched or do { pass 'nobody may look' for 1 .. 2; last SKIP };
    is_deeply [follow($store, \%kept, @calls)], [], 'all that is written is kept before somebody hears of it';
    is_deeply [grep { !$kept{$_} } map { glob "$store/$_" } qw(certs orders accounts certs/* orders/* accounts/* accounts/*/* orders/*/* certs/*/current certs/*/[0-9])], [],
      'nothing is left out' or diag join "\n", sort keys %kept;
}
my ($account, $order) = (qr{/accounts/[^/]+}, qr{/orders/www\.shop\.test});
my ($asks, $first, $second) = ($heard{'sign-me-up'}[0], @{ $heard{'order-plz'} });
kept_ok(\%kept, qr{$account/key\.pem$}, 0, $asks, 'before the CA hears of an account: its key');
kept_ok(\%kept, qr{$account/ledger$}, 0, $asks, '  and that one is made');
kept_ok(\%kept, qr{$account/account$}, $asks, $first, 'before an order: the URL of the account');
kept_ok(\%kept, qr{$account/ledger$}, $asks, $first, '  that one is made');
kept_ok(\%kept, qr{$order/key\.pem$}, 0, $first, '  the key of the certificate');
kept_ok(\%kept, qr{$order/order$}, $first, $heard{authZ}[0], 'before anything is proved: the URL of the order');
kept_ok(\%kept, qr{/certs/www\.shop\.test/2$}, $heard{certZ}[0], $renewed, 'the certificate, when it is live');
kept_ok(\%kept, qr{/certs/www\.shop\.test/current$}, $heard{certZ}[0], $renewed, '  and that it is');
kept_ok(\%kept, qr{$account/ledger$}, $renewed, $second, 'before a renewal: that one is ordered');
kept_ok(\%kept, qr{$order/key\.pem$}, $renewed, $second, '  and its key');
my ($back) = sort { $a <=> $b } grep { $_ > $began{rollback} } map { @{ $kept{$_} } } grep { m{/certs/www\.shop\.test/current$} } keys %kept;
kept_ok(\%kept, qr{$order/state$}, $began{rollback}, $back // 0, 'before a rollback is live: that nothing is renewed now');
kept_ok(\%kept, qr{$account/next\.pem$}, $renewed, $heard{'rollover-account-key'}[0], "before a rollover: the account's next key");
kept_ok(\%kept, qr{/revoked$}, $heard{'revoke-cert'}[0], $heard{'order-plz'}[2], 'before what replaces a revoked one: that it is revoked');

# The supervisor makes the store's own folder; without orders nothing but certs/ is in it.
subtest 'no orders' => sub {
    local $ENV{PASGATE} = traced(tmp('own'));
    my $own = tmp('deep') . '/er/store';
    my $gate = acme_gate($ca, store => $own, certs => '{ names = [ "own.test" ]; self_signed = true; }');
    ok wait_row($gate, sub { $_->{generation} == 1 }), 'a self-signed certificate';
    my ($acmed, $supervisor) = (($gate->pids('acmed'))[0], $gate->{pid});
    $gate->stop_ok;
    SKIP: {
        $watched or do { pass 'nobody may look' for 1 .. 3; last SKIP };
        my (%kept, %above);
        is_deeply [follow($own, \%kept, calls(tmp("own.$acmed")))], [], 'is kept before somebody hears of it';
        kept_ok(\%kept, qr{/certs$}, 0, time, 'with the folder that it stands in');
        is_deeply [follow(tmp('deep'), \%above, calls(tmp("own.$supervisor")))], [], 'and those above';
        ok $above{$_}, "$_ is kept" for $own, dirname($own), dirname(dirname $own), $> ? "$own/state" : "$own-state";
    }
};

$ca->end;
done_testing;
