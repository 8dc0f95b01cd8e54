# All certificates at once: `cert renew --all`; and those of before: `cert delete`.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here' unless Pebble::available();

my $ca = Pebble->new;
my ($chain, $key) = PasGate::make_cert('mine', 'mine.test');
my %certs = (
    a    => '{ names = [ "a.test" ]; }',
    b    => '{ names = [ "b.test" ]; }',
    mine => qq({ names = [ "mine.test" ]; chain = "$chain"; key = "$key"; }),
    wild => '{ names = [ "*.nobody-has-this.com" ]; name = "wild"; }',
);
my $gate = acme_gate($ca, workers => 2, certs => join(', ', @certs{qw(a b mine)}));

sub both { return wait_for(sub { 2 == grep { cert_row($gate, "$_.test")->{source} eq 'acme' } qw(a b) }, 60) }

sub says
{
    my ($args, $want, $name, @lines) = @_;
    my ($code, $said) = $gate->cli('cert', @$args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $code, $want, "$name: exit code $want" or diag $said;
    like $said, $_, $name for @lines;
    return $said;
}

ok both(), 'certificates' or $gate->tell;

subtest 'renew --all' => sub {
    my $orders = $ca->said(qr/Added order/);
    my $said = says ['renew', '--all'], 0, 'none is due', map { qr/^certificate $_\.test: it is not due yet/m } qw(a b);
    unlike $said, qr/mine/, 'one of files is not asked for';
    is $ca->said(qr/Added order/), $orders, 'nothing was ordered';
    says ['renew', '--all', '--force'], 0, 'both', map { qr/^certificate $_\.test: generation 3 is live, until 20/m } qw(a b);
    is $ca->said(qr/Added order/), $orders + 2, 'an order each';
    says ['renew', '--all', 'a.test'],     2, 'not with a name', qr/a name or --all, not both/;
    says ['rollback', '--all', '--force'], 2, 'not with another verb', qr/--all works with renew only/;
};

subtest 'those that cannot be had say why' => sub {
    $gate->write_config(certs => join ', ', @certs{qw(a b wild)});
    is +($gate->cli('reload'))[0], 0, 'a wildcard without dns-01, of which the new acmed hears a moment later';
    says ['list', 'wild'], 0, 'which is listed all the same', qr/^wild +self-signed/m;
    says ['renew', 'wild'], 1, 'it is known at once', qr/certificate wild: not ordered: a wildcard needs/;
    $ca->dns('set-servfail', { host => 'b.test.' });
    # Pebble takes the proof of an order before in one of a hundred cases, though asked not to.
    my ($code, $said) = (1, '');
    for (1 .. 3) { ($code, $said) = $gate->cli('cert', 'renew', '--all', '--force') if $said !~ /stays live/ }
    is $code, 1, 'two of three fail' or diag $said;
    like $said, $_, 'and say why'
      for qr/^certificate a\.test: generation \d+ is live/m, qr/certificate b\.test: .*; generation \d+ stays live/,
      qr/certificate wild: not ordered: a wildcard needs/;
    $ca->dns('clear-servfail', { host => 'b.test.' });
};

subtest 'delete' => sub {
    my $store = $gate->{store};
    my $there = sub { return scalar grep { -e "$store/$_/$_[0]" } qw(certs orders) };
    is $there->('b.test'), 2, 'b has generations, and a state';
    says ['delete'], 2, 'not without a name', qr/which certificate\?/;
    says ['delete', 'b.test'], 2, 'not by mistake', qr/if you are sure, add --force/;
    says ['delete', 'b.test', '--force'], 1, 'not while it is configured',
      qr/certificate b\.test is configured \(.*pasgate\S*:\d+\): remove it there, reload/;
    $gate->write_config(certs => $certs{a});
    says ['delete', 'b.test', '--force'], 1, 'not while the service has it', qr/the running service still has this.*reload/;
    is $there->('b.test'), 2, 'nothing is gone so far';
    is +($gate->cli('reload'))[0], 0, 'a reload';
    ok wait_for { cert_row($gate, 'b.test')->{name} eq '' }, 'the service has let it go';
    says ['delete', 'nobody.test', '--force'], 2, 'a wrong name',
      qr/no certificate "nobody\.test"; these can be deleted: (?=.*b\.test)(?=.*mine\.test)(?!.*a\.test)/;
    says ['delete', '../certs', '--force'], 2, 'no way out of the store', qr/no certificate/;
    says ['delete', 'b.test', '--force'], 0, 'then it is done', qr/^certificate b\.test: deleted 3 generations and the record of its orders$/m;
    is $there->('b.test'), 0, 'nothing is left';
    is verified($gate, $ca, 'a.test'), '', 'the other one is served';

    # Killed between and after the two renames.
    $gate->stop_ok;
    rename "$store/orders/wild", "$store/orders/.deleted-1";
    rename "$store/certs/mine.test", "$store/certs/.deleted-1" or die;
    says ['delete', 'wild', '--force'], 0, 'the rest of one, without a service', qr/wild: deleted 1 generation and/;
    is_deeply [glob "$store/{orders,certs}/.deleted*"], [], 'and of others';

    # Revoked, and killed before that was on the list.
    my ($pem, $key) = PasGate::make_cert('gone', 'gone.test');
    mkdir $_ or die for map { "$store/certs/gone.test$_" } '', '/1';
    PasGate::spew("$store/certs/gone.test/1/$_->[0]", $_->[1])
      for ['fullchain.pem', slurp($pem)], ['key.pem', slurp($key)], ['revoked', "reason=1\n"];
    chown +(stat "$store/certs")[4, 5], map { "$store/certs/gone.test$_" } '', '/1', '/1/fullchain.pem', '/1/key.pem', '/1/revoked';
    symlink 'nowhere', "$store/certs/.revoked" or die;
    says ['delete', 'gone.test', '--force'], 1, 'one that was revoked, which cannot be noted', qr/\.revoked, which would remember that, cannot be written: not deleted/;
    unlink "$store/certs/.revoked";
    says ['delete', 'gone.test', '--force'], 0, 'then it can', qr/gone\.test: deleted 1 generation and/;
    like slurp("$store/certs/.revoked"), qr/^[0-9a-f]{64}=[0-9a-f]{64} \d+ 1 \d+$/m, 'and the list has it';
    mkdir "$store/certs/.deleted-2" or die;
    PasGate::spew("$store/certs/.deleted-2/key.pem", 'KEY');
    chown +(stat "$store/certs")[4, 5], "$store/certs/.deleted-2", "$store/certs/.deleted-2/key.pem";
    $gate->start;
    ok !-e "$store/certs/.deleted-2", 'at a start, too';
    is cert_row($gate, 'a.test')->{source}, 'acme', 'what is configured stays';
};

$gate->stop_ok;
done_testing;
