#!/usr/bin/perl
# What is live cannot be read while processes start: one file, a directory, or the whole store, for
# good reasons (another owner, a backup) or because a disk fails for a moment. It is not bad: it
# stays live, nothing replaces it, and all is well by itself when it can be read again.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca   = Pebble->new;
my $fails = tmp('eio.now'); # while it exists, acmed cannot open a key
my $gate;
PasGate::preloaded('eio', { TEST_EIO => 'key.pem', TEST_EIO_WHILE => $fails },
    sub { $gate = acme_gate($ca, workers => 2) });
ok wait_issued($gate), 'issued' or $gate->tell;
my ($live, $generation) = (served($gate), cert_row($gate)->{generation});
my $certs = "$gate->{store}/certs/www.shop.test";
my %mode;

sub shut { my ($path) = @_; $mode{$path} = (stat $path)[2] & 07777; return chmod 0, $path }
sub open_again { my ($path) = @_; return chmod $mode{$path}, $path }

sub told
{
    my ($what) = @_;
    return wait_row($gate, sub { grep { /cannot read the store \S*\Q$what\E: / } $_->{error} // '', @{ $_->{notes} // [] } });
}

sub other_acmed
{
    my ($old) = @_;
    return wait_for { my ($new) = $gate->pids('acmed'); $new && $new != $old };
}

# As it was at first: the certificate, its number, the link, the status.
sub stays
{
    my ($how) = @_;
    is served($gate), $live, "$how: it is served" for 1 .. 4;
    my $row = cert_row($gate);
    is "$row->{source} $row->{generation}", "acme $generation", 'it is live' or $gate->tell;
    is readlink("$certs/current"), $generation, 'the link stays' if -x $certs;
    return;
}

sub well
{
    my ($how) = @_;
    ok wait_for { ($gate->cli('status'))[0] == 0 && !@{ cert_row($gate)->{notes} } }, "$how: all is well by itself" or $gate->tell;
    stays($how);
    is_deeply [sort { $b <=> $a } map { m{/(\d+)$} } glob "$certs/*"]->[0], $generation, 'nothing was made in its place';
    return;
}

# ---- acmed starts

for my $path ("$generation/key.pem", '') {
    my $file = $path ? "$certs/$path" : $certs;
    my $name = $path || 'its directory';
    my ($acmed) = $gate->pids('acmed');
    shut($file);
    kill 'KILL', $acmed;
    ok other_acmed($acmed), "$name cannot be read: another acmed";
    ok told($path || 'www.shop.test'), 'it tells' or $gate->tell;
    stays($name);
    is +($gate->cli('status'))[0], 1, 'status exits with 1';
    unlike +($gate->cli('cert', 'list'))[1], qr/1970/, 'and shows no time that there is not';
    my ($code, $out) = $gate->cli('cert', 'rollback', 'www.shop.test');
    is $code, 1, 'no rollback';
    like $out =~ s/\s+/ /gr, qr/cannot read the store/, 'for that reason';
    open_again($file);
    well($name);
}

my ($acmed) = $gate->pids('acmed');
spew($fails, '');
chmod 0666, $fails;
is +($gate->cli('reload'))[0], 0, 'reload while a disk fails for acmed' or $gate->tell;
ok other_acmed($acmed), 'another acmed';
ok told("$generation/key.pem"), 'it tells' or $gate->tell;
stays('a failing disk');
unlink $fails;
well('a failing disk');

# ---- workers start

for my $path ($gate->{store}, "$certs/$generation/key.pem") {
    my $name = $path eq $gate->{store} ? 'the store' : 'the key';
    shut($path);
    my ($code, $out) = $gate->cli('reload');
    is $code, 1, "$name cannot be read: a reload is refused" or $gate->tell;
    like $out =~ s/\s+/ /gr, qr/acme\.store: new workers cannot read a certificate that is served now/, 'and says why';
    stays($name);
    like $gate->log_text, qr/certificate www\.shop\.test: workers serve generation $generation, and a new one cannot read it/, 'the log tells which' or $gate->tell;
    open_again($path);
    well($name);
    is +($gate->cli('reload'))[0], 0, 'then it is not refused' or $gate->tell;
    well($name);
}

# A worker that replaces a crashed one: only the other one has the certificate.
{
    my $key = "$certs/$generation/key.pem";
    shut($key);
    my ($worker) = $gate->pids('worker');
    kill 'KILL', $worker;
    ok $gate->wait_log(qr/certificate www\.shop\.test: workers serve generation $generation, and a new one cannot read it: it is started again until it can/),
      'a worker crashed: that another one waits, and for what, is told'
      or $gate->tell;
    is scalar(grep { served($gate) ne $live } 1 .. 40), 0, 'the other one serves the clients of both';
    open_again($key);
    ok wait_for { cert_row($gate)->{loaded} == 2 }, 'then it has it, too' or $gate->tell;
    well('a crashed worker');
}

# ---- all processes start

shut("$certs/$generation");
$gate->stop_ok;
$gate->start;
ok told("www.shop.test/$generation"), 'a start without it: it tells' or $gate->tell;
like served($gate), qr/BEGIN CERTIFICATE/, 'TLS is served';
is cert_row($gate)->{generation}, 0, 'from memory';
is readlink("$certs/current"), $generation, 'the link stays';
open_again("$certs/$generation");
ok wait_for { served($gate) eq $live }, 'it is served as soon as it can be read' or $gate->tell;
well('a start');

# ---- it is gone for good, and so is the CA

ok wait_for { cert_row($gate)->{loaded} == 2 }, 'both workers have it' or $gate->tell;
$ca->end;
my $from = length $gate->log_text;
rename "$certs/$generation", "$gate->{store}/gone" or die "$certs: $!";
my ($worker) = $gate->pids('worker');
kill 'KILL', $worker;
ok $gate->wait_log(qr/certificate www\.shop\.test: workers serve generation $generation, and a new one cannot read it: it is started again/, 20, $from),
  'a worker crashed: another one waits until there is one';
is scalar(grep { served($gate) ne $live } 1 .. 40), 0, 'the other one serves the clients of both';
$gate->stop_ok;
done_testing;
