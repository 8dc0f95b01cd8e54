#!/usr/bin/perl
# dns-01 before name servers as they are outside: a record is looked up at all servers of its zone
# before the CA is told, wherever a CNAME record or a delegation leads, and the server that never
# has it is named. The CA's resolver asks the server that is last, so that told too early, it refuses.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use NameServers;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my @cases = (
    { name => 'shop.test', target => '_acme-challenge.shop.test', first => 'ns1', last => 'ns2', what => 'two servers' },
    { name => 'alias.test', target => 'txt.other.test', first => 'ns4', last => 'ns5', what => 'a CNAME to another zone' },
    { name => 'deep.test', target => '_acme-challenge.deep.test', first => 'ns7', last => 'ns8', what => 'a delegation' });
my $dns = NameServers->new('shop.test' => [qw(ns1 ns2)], 'alias.test' => ['ns3'], 'other.test' => [qw(ns4 ns5)], 'deep.test' => ['ns6'],
    '_acme-challenge.deep.test' => [qw(ns7 ns8)], 'never.test' => [qw(ns9 ns10)], 'half.test' => [qw(dead1 ns11)],
    'loop.test' => ['ns12'], 'odd.test' => ['ns13']);
$dns->put('ns3', '_acme-challenge.alias.test', 'CNAME', 'txt.other.test');
$dns->put(@$_) for ['ns12', '_acme-challenge.loop.test', 'CNAME', 'back.loop.test'], ['ns12', 'back.loop.test', 'CNAME', '_acme-challenge.loop.test'],
  ['ns13', '_acme-challenge.odd.test', 'CNAME', '$(id).test'];
my $ca = Pebble->new(dns_server => $dns);

# A gate whose hook publishes at one server only.
sub gate
{
    my ($name, $server, $wait) = @_;
    my $told = spew(tmp("$name.told"), '');
    chmod 0666, $told;
    my $hook = spew(tmp("$name.hook"), <<"END");
#!/bin/sh
case \$PASGATE_EVENT in
dns-put)  echo "$server \$PASGATE_DNS_TARGET TXT \$PASGATE_DNS_VALUE" >>$dns->{records} ;;
dns-drop) echo "- \$PASGATE_DNS_TARGET" >>$dns->{records} ;;
*)        exit 0 ;;
esac
echo "\$PASGATE_EVENT \$PASGATE_DNS_TARGET \$PASGATE_DNS_VALUE" >>$told
END
    chmod 0755, $hook;
    my $proxy = FaultProxy->new($ca);
    my $gate  = preloaded('dns', { TEST_DNS_PORT => $dns->{port} }, sub {
        return acme_gate($ca, names => [$name], directory => $proxy->directory, listen => '',
            acme => qq(hook = "$hook"; challenges = [ "dns-01" ]; dns_wait = "$wait";));
    });
    return { gate => $gate, proxy => $proxy, told => sub { my ($event) = @_; return grep { /^$event / } split /\n/, slurp($told) } };
}

sub challenges { return $_[0]{proxy}->seen(qr{^POST /chalZ/}) }

sub dropped { my ($it) = @_; return wait_for { $it->{told}->('dns-drop') } }

$_ = { %$_, %{ gate($_->{name}, $_->{first}, '2m') } } for @cases;
my $never = gate('never.test', 'ns9', '2s');
my $half  = gate('half.test', 'ns11', '2m');
my %useless = (loop => gate('loop.test', 'nowhere', '2s'), odd => gate('odd.test', 'nowhere', '2s'));

for my $it (@cases) {
    subtest "$it->{what}, of which one lags" => sub {
        my ($gate, $target) = @$it{qw(gate target)};
        ok wait_for(sub { $dns->asked($it->{last}, 'TXT', $target) >= 3 }, 60), 'the one that lags is asked, again and again' or $gate->tell;
        cmp_ok $dns->asked($it->{first}, 'TXT', $target), '>=', 3, 'and the other one';
        my ($put, @more) = map { [split] } $it->{told}->('dns-put');
        is $put->[1], $target, 'the hook was told where the record belongs';
        is @more, 0, 'once';
        is challenges($it), 0, 'meanwhile the CA is told nothing';
        is $dns->asked('resolver', 'TXT', $target), 0, 'and no resolver learns that there is none';
        $dns->put($it->{last}, $target, 'TXT', $put->[2]);
        ok wait_issued($gate), 'when both have it, it comes' or $gate->tell;
        is challenges($it), 1, 'of one validation';
        is $it->{proxy}->seen(qr{^POST /order-plz}), 1, 'of one order';
        unlike $gate->log_text, qr/failure 1/, 'without a failure';
        is_deeply cert_row($gate)->{notes} // [], [], 'there is nothing to tell';
        ok dropped($it), 'the record is removed';
        $gate->stop_ok;
    };
}

subtest 'a server that never has it' => sub {
    my $gate = $never->{gate};
    ok wait_row($gate, sub { ($_->{failures} // 0) == 1 }), 'the CA does not see it either' or $gate->tell;
    my $says = qr/the TXT record at _acme-challenge\.never\.test was not visible at name server \Q$dns->{address}{ns10}\E within 2 s \(acme\.dns_wait\); the CA: /;
    like cert_row($gate)->{error}, $says, 'the status names the server, and the setting';
    like +($gate->cli('cert', 'list', 'never.test'))[1] =~ s/\s+/ /gr, $says, 'for people, too';
    ok $gate->wait_log($says), 'so does the log';
    is challenges($never), 1, 'after the wait, the CA decides';
    ok dropped($never), 'the record is removed';
    $gate->stop_ok;
};

subtest 'a server that does not respond' => sub {
    my $gate = $half->{gate};
    ok wait_issued($gate), 'is not waited for' or $gate->tell;
    cmp_ok $dns->asked('ns11', 'TXT', '_acme-challenge.half.test'), '>=', 1, 'the other one is asked';
    is_deeply cert_row($gate)->{notes} // [], [], 'there is nothing to tell';
    $gate->stop_ok;
};

for my $what (sort keys %useless) {
    subtest "a CNAME that cannot be used: $what" => sub {
        my $gate = $useless{$what}{gate};
        ok wait_row($gate, sub { ($_->{failures} // 0) == 1 }), 'the CA does not see the record' or $gate->tell;
        my $says = qr/the CNAME record at _acme-challenge\.$what\.test cannot be used: it leads to too many others, or to no host name; the CA: /;
        like cert_row($gate)->{error}, $says, 'the status tells the cause';
        ok $gate->wait_log($says), 'so does the log';
        $gate->stop_ok;
    };
}

$_->{proxy}->end for @cases, $never, $half, values %useless;
$ca->end;
$dns->end;
done_testing;
