# A first start while the CA is down: it is tried again within seconds, and the certificate is
# there soon after the CA is. (Any outage: t/unit/plan.c, t/unit/backoff.c, make simulate.)
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;
use Time::Local 'timegm';

plan skip_all => 'no pebble here' unless Pebble::available();

sub seconds
{
    my ($y, $mon, $d, $h, $m, $s) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/ or return 0;
    return timegm(0, $m, $h, $d, $mon - 1, $y) + $s;
}

my $ca = Pebble->new;
$ca->end;
my $gate = acme_gate($ca, workers => 1);
like served($gate, 'www.shop.test'), qr/BEGIN CERT/, 'a self-signed one serves meanwhile';
# A try has some of its own: it lasts for about 15 s.
ok $gate->wait_log(qr/not ordered, failure 1: /, 90), 'the CA is down' or $gate->tell;
my ($now, $next) = $gate->log_text =~ /^(\S+) .*not ordered, failure 1: .*next try (\S+)$/m;
cmp_ok seconds($next // '') - seconds($now // ''), '<', 10, 'the next try comes in some seconds, not in a minute'
  or $gate->tell;
$ca->start;
ok wait_issued($gate), 'the CA is there: so is the certificate' or $gate->tell;
is verified($gate, $ca, 'www.shop.test'), '', 'and is served';
is cert_row($gate)->{error}, '', 'nothing is wrong any more';
$gate->stop_ok;
done_testing;
