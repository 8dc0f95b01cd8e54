# Moving over from certbot: its certificates and its account, without a new order.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Pebble;
use IO::Socket::SSL;
use JSON::PP;
use Test::More;

plan skip_all => 'no pebble here'  unless Pebble::available();
plan skip_all => 'no certbot here' unless (run_cmd('sh', '-c', 'command -v certbot'))[0] == 0;

my $pas  = PasGate::StandIn->new('pas1');
my $ca   = Pebble->new;
my $tree = tmp('letsencrypt');

sub certbot
{
    my (@arg) = @_;
    local $ENV{REQUESTS_CA_BUNDLE} = $ca->ca_file;
    my ($code, $said) = run_cmd('certbot', @arg, '-n', '--server', $ca->directory, '--config-dir', $tree,
        '--work-dir', tmp('certbot-work'), '--logs-dir', tmp('certbot-logs'));
    $code == 0 or diag $said;
    return $code == 0;
}

sub order
{
    my (@names) = @_;
    return certbot('certonly', '--agree-tos', '--register-unsafely-without-email', '--standalone',
        '--http-01-address', '127.0.0.1', '--http-01-port', $ca->{http_port}, map { ('-d', $_) } @names);
}

ok order('www.shop.test', 'shop.test'), 'certbot has a certificate';
ok order('other.test'), 'and another one';
my ($regr) = glob "$tree/accounts/*/dir/*/regr.json";
my $account = decode_json(slurp($regr))->{uri};
mkdir "$tree/accounts/acme-staging.test" or die;
my $orders  = $ca->said(qr/Added order/);
my $store   = tmp('store');
my $gate    = PasGate->new(
    backends => [$pas], workers => 2, start => 0, no_probe => 1,
    certs  => '{ names = [ "www.shop.test", "shop.test" ]; name = "shop"; }, { names = [ "new.test" ]; self_signed = true; }',
    listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }),
    global => sprintf('acme = { store = "%s"; directory = "%s"; ca_file = "%s"; };', $store, $ca->directory, $ca->ca_file));

sub row { return (grep { $_->{name} eq 'shop' } @{ $gate->status->{certificates} // [] })[0] // {} }

subtest 'what would come over' => sub {
    my ($code, $said) = $gate->cli('cert', 'import', $tree, '--dry-run');
    is $code, 0, 'a dry run' or diag $said;
    like $said, qr/^live\/www\.shop\.test: would become that of shop, until 20/m, 'the certificate';
    like $said, qr/^live\/other\.test: skipped: it does not cover all names of any configured certificate$/m, 'not the other one';
    like $said, qr/^accounts\/127\.0\.0\.1:\d+\/dir\/\w+: would be our account \Q$account\E$/m, 'the account';
    like $said, qr/^accounts\/acme-staging\.test: skipped: acme\.directory is another CA$/m, 'not that of another CA';
    ok !-e $store, 'nothing was written';
    is +($gate->cli('cert', 'import', tmp('nowhere')))[0], 2, 'a folder that is not there';
};

subtest 'what came over' => sub {
    my ($code, $said) = $gate->cli('cert', 'import', $tree);
    is $code, 0, 'import' or diag $said;
    like $said, qr/^live\/www\.shop\.test: is generation 1 of shop, until 20/m, 'the certificate';
    like $said, qr/: is our account \Q$account\E$/m, 'the account';
    ($code, $said) = $gate->cli('cert', 'import', $tree);
    is $code, 0, 'once more';
    like $said, qr/skipped: the store has one for shop until .*skipped: the store has an account there/s, 'changes nothing';

    $gate->start;
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => 'shop.test',
        SSL_verifycn_name => 'shop.test', SSL_verifycn_scheme => 'http', SSL_ca_file => $ca->root(0), Timeout => 10);
    ok $sock, 'it is served at once' or diag $SSL_ERROR;
    is PasGate::slurp("$store/certs/shop/1/fullchain.pem"), slurp("$tree/live/www.shop.test/fullchain.pem"), 'the very one';
    is row()->{source} . row()->{generation}, 'acme1', 'as one of the CA';
    ok wait_for { row()->{next_try} }, 'that is renewed in its time';
    is $ca->said(qr/Added order/), $orders, 'nothing was ordered';
    ($code, $said) = $gate->cli('cert', 'import', $tree);
    is $code, 1, 'a running service';
    like $said, qr/another pasgate uses it: stop it, import, and start it again/, 'is told to stop first';
};

subtest 'and goes on' => sub {
    my ($code, $said) = $gate->cli('cert', 'renew', 'shop', '--force');
    is $code, 0, 'a renewal' or diag $said;
    is row()->{generation}, 2, 'is live';
    is $ca->said(qr/There are now \d+ accounts in memory/), 1, 'with the account of before: no other was made';
    like slurp(glob "$store/accounts/*/account"), qr/^url=\Q$account\E$/, 'which is the same';
    $gate->stop_ok;

    # A self-signed one is live, and 2 was written by an import that was killed then.
    my $at = "$store/certs/shop/1";
    my ($made, $why) = run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=own),
        '-addext', 'subjectAltName=DNS:www.shop.test,DNS:shop.test', '-keyout', tmp('own.key'), '-out', tmp('own.pem'));
    is $made, 0, 'a self-signed pair' or diag $why;
    PasGate::spew("$at/fullchain.pem", slurp(tmp('own.pem')));
    PasGate::spew("$at/key.pem",       slurp(tmp('own.key')));
    PasGate::spew("$at/meta",          "source=self\n");
    unlink "$store/certs/shop/current";
    symlink 1, "$store/certs/shop/current" or die;
    ($code, $said) = $gate->cli('cert', 'import', $tree);
    like $said, qr/is generation 3 of shop/, 'an import after one that was killed: not skipped';
    is readlink "$store/certs/shop/current", 3, 'and live';
};

done_testing;
