# What `check`, start and reload look at before they call a configuration good: what is wrong is
# refused (78), what is likely wrong is a warning in a section of its own (78 with --strict).
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my @shop = PasGate::make_cert('shop', 'shop.test');
my @other = PasGate::make_cert('other', 'other.test');
my $dir = tmp('conf');
mkdir $dir;
spew("$dir/plain.txt", "no program\n");
my $backends = 'backends = ( { name = "pas1"; address = "127.0.0.1:' . $pas->{port} . '"; } )';
my $pool     = qq~pools = ( { name = "pas"; $backends; } );\n~;
my $listen   = 'listen = ( { address = "127.0.0.1:' . free_port() . qq~"; tls = true; } );\n~;

# check of a file with these lines: (exit code, standard error, standard output).
sub check
{
    my ($text, @arg) = @_;
    spew("$dir/x.conf", $text);
    my $pid = fork // die $!;
    if (!$pid) {
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        exec PasGate::binary(), 'check', '-c', "$dir/x.conf", @arg;
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp_it("$dir/err"), slurp_it("$dir/out"));
}
sub slurp_it { return PasGate::slurp($_[0]) }

sub cert { return qq~certificates = ( { names = [ "$_[0]" ]; chain = "$_[1]"; key = "$_[2]"; } );\n~ }
my $good = $listen . cert('shop.test', @shop);

sub refused
{
    my ($text, $re, $name) = @_;
    my ($code, $err) = check($text);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $code == 78 && $err =~ $re, "refused: $name" or diag "exit code $code: $err";
}

sub warned
{
    my ($text, $re, $name) = @_;
    my ($code, $err, $out) = check($text);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $code == 0 && $out =~ /: good: / && $err =~ /^warnings: \d+\n(?:  .*\n)*  [^\n]*$re/, "a warning: $name"
      or diag "exit code $code: $out$err";
    is +(check($text, '--strict'))[0], 78, "$name: --strict";
}

subtest 'what is wrong' => sub {
    my ($code, $err, $out) = check($good . $pool, '--strict');
    is "$code $err", '0 ', 'nothing' or diag $out;
    refused $listen . 'certificates = ( { names = [ "shop.test:443" ]; } );' . "\n" . $pool,
      qr/:2: certificates\.names: "shop\.test:443" is not a host name/, 'a port in a name that is to be ordered';
    refused $listen . cert('shop.test', $shop[0], $other[1]) . $pool,
      qr/^\Q$dir\E\/x\.conf:2: certificates: shop\.test: the key does not match the certificate$/m, 'a key of another certificate';
    refused $listen . cert('shop.test', "$dir/plain.txt", $shop[1]) . $pool, qr/holds no certificate/, 'no certificate';
    refused $listen . cert('shop.test', $shop[0], "$dir/plain.txt") . $pool, qr/no key that parses/,   'no key';
    refused $good . qq~acme = { hook = "$dir/plain.txt"; };\n~ . $pool, qr/acme\.hook: .* is not an executable program/, 'a hook that is none';
    refused $good . qq~acme = { ca_file = "$dir/none.pem"; };\n~ . $pool, qr/acme\.ca_file: cannot read/, 'a file of CAs';
    refused $good . $pool =~ s/; \} \)/; restart = { command = [ "\/no\/such" ]; }; } )/r,
      qr/restart\.command: \/no\/such of backend pas1 is not an executable/, 'a restart command';
    refused qq~log = { access = "$dir/none/access.log"; };\n~ . $good . $pool, qr/log\.access: .*\/none: No such file/, 'a folder of logs';
    my $hook = spew("$dir/hook", "#!/no/such/sh\n");
    chmod 0755, $hook;
    warned $good . qq~acme = { hook = "$hook"; };\n~ . $pool, qr/acme\.hook: the first line of \Q$hook\E names \/no\/such\/sh, which is not a program/, 'a hook without its interpreter';
    spew($hook, "#!/bin/sh\n");
  SKIP: {
        skip 'root calls no hook as root', 2 if $> != 0;
        chmod 0700, $hook;
        warned qq~user = "nobody";\n~ . $good . qq~acme = { hook = "$hook"; };\n~ . $pool,
          qr/acme\.hook: user nobody, which calls it, cannot run \Q$hook\E: Permission denied/, 'a hook that only root may run';
    }
  SKIP: {
        skip 'only root changes users', 1 if $> != 0;
        refused qq~user = "nobody-at-all";\n~ . $good . $pool, qr/user: there is no user "nobody-at-all"/, 'a user';
    }
};

subtest 'the same error many times' => sub {
    my @certs = map { qq~{ names = [ "n$_.test" ]; chain = "$dir/plain.txt"; key = "$shop[1]"; }~ } 1 .. 150;
    my ($code, $err) = check($listen . 'certificates = ( ' . join(",\n", @certs) . " );\n" . $pool);
    is $code, 78, 'refused';
    is scalar(() = $err =~ /holds no certificate/g), 100, 'the first hundred are told';
    like $err, qr/: 50 more errors; fix these first$/m, 'and how many more there are';
};

subtest 'what is likely wrong' => sub {
    my $more = sub { $good . $_[0] . $pool };
    warned $more->(qq~user = "root";\n~), qr/x\.conf:3: user: workers/, 'root';
  SKIP: {
        skip 'only root changes users', 3 if $> != 0;
        mkdir "$dir/store";
        my $store = qq~user = "nobody";\n~ . $good . qq~acme = { store = "$dir/store"; };\n~ . $pool;
        my ($code, $err) = check($store =~ s/nobody/root/r);
        unlike $err, qr/acme\.store/, 'a store of root, for root';
        warned $store, qr/acme\.store: user nobody, which keeps the certificates, cannot read and write \Q$dir\E\/store: Permission denied; make that user its owner/,
          'a store that the user of the service may not write';
    }
    warned $good . qq~acme = { store = "$dir/plain.txt"; };\n~ . $pool, qr/acme\.store: \Q$dir\E\/plain\.txt is not a directory, so no certificate can be kept: move it away/,
      'a store that is a file';
    mkdir "$dir/half";
    spew("$dir/half/certs", '');
    warned $good . qq~acme = { store = "$dir/half"; };\n~ . $pool, qr/acme\.store: \Q$dir\E\/half\/certs is not a directory/,
      'a file in the place of its certificates';
    warned $more->(qq~tls = { ciphers = "ECDHE+AESGCM:eNULL:\@SECLEVEL=0"; };\n~), qr/x\.conf:3: tls\.ciphers: "eNULL"/, 'ciphers';
    warned $more->(qq~tls = { ciphers = "ECDHE+AESGCM:\@SECLEVEL=0"; };\n~), qr/x\.conf:3: tls\.ciphers: "\@SECLEVEL=0"/, 'a security level of 0 alone';
    my $l = 'listen = ( { address = "127.0.0.1:1443"; tls = true; }, ';
    my $c = cert('shop.test', @shop) . $pool;
    warned qq~$l { address = "*:1180"; serve = "status"; } );\n$c~, qr/serves the status to everybody/, 'the status on all addresses';
    warned qq~$l { address = "*:1443"; } );\n$c~, qr/127\.0\.0\.1:1443 overlaps with \*:1443/, 'listeners that overlap';
    warned $good . $pool =~ s/\{ name = "pas"/{ min_healthy = 1; name = "pas"/r, qr/min_healthy: a pool of 1 cannot have 1 other healthy backends/, 'min_healthy';
    my $acme = qq~acme = { email = "a\@b.example"; };\ncertificates = ( { names = [ "%s" ]; } );\n~;
    warned $good . qq~pools = ( { name = "pas"; backends = ( "127.0.0.1:1", { name = "1"; address = "127.0.0.1:2"; } ); } );\n~,
        qr/x\.conf:3: pools\.backends\.name: "1" looks like the number/, 'a name that looks like a number';
    warned $listen . sprintf($acme, 'a_b.shop.eu') . $pool, qr/underscore/, 'an underscore';
    warned $listen . sprintf($acme, '*.shop.eu') . $pool, qr/x\.conf:3: .*a wildcard needs/, 'a wildcard without dns-01';
    warned $listen . qq~certificates = ( { names = [ "www.shop.eu" ]; } );\n~ . $pool, qr/set acme\.email/, 'a public name without an address of mail';
    warned qq~trusted = [ "10.0.0.0/8", "$_" ];\n~ . $good . $pool, qr/x\.conf:1: trusted: with \Q$_\E every client is believed/, "everybody is trusted: $_" for '0.0.0.0/0', '::/0';
    warned qq~listen = ( { address = "127.0.0.1:8080"; proxy_protocol = "0.0.0.0/0"; } );\n~ . $pool, qr/x\.conf:1: listen\.proxy_protocol: with 0\.0\.0\.0\/0 every client is believed/, 'and in its PROXY header';
    my $route = qq~routes = ( { path = "/.well-known/acme-challenge"; pool = "pas"; MORE } );\n~;
    warned $listen . sprintf($acme, 'www.shop.eu') . $pool . $route =~ s/MORE//r, qr/acme-challenge" gets no request/, 'a route for challenges';
    my $sorted = qq~routes = (\n{ path = "/"; pool = "pas"; },\n{ path = "/.well-known/acme-challenge"; pool = "pas"; } );\n~;
    my $before = () = ($listen . sprintf($acme, 'www.shop.eu') . $pool) =~ /\n/g;
    warned $listen . sprintf($acme, 'www.shop.eu') . $pool . $sorted, qr/x\.conf:@{[$before + 3]}: routes\.path: [^\n]*gets no request/, 'with its own line, also where routes are reordered';
    my $passes = $listen . sprintf($acme, 'www.shop.eu') . $pool . $route =~ s/MORE/acme_passthrough = true;/r;
    is +(check($passes, '--strict'))[0], 0, 'but not where others than ours pass';
    for my $key ('not!base64', 'YWJj=', 'YWJjZ', 'YWJ') {
        refused $listen . sprintf($acme =~ s/email/eab = { kid = "k"; hmac_key = "$key"; }; email/r, 'www.shop.eu') . $pool,
          qr/x\.conf:\d+: acme\.eab\.hmac_key: is not a base64url key/, "a key that is none: $key";
    }
    is +(check($listen . qq~certificates = ( { names = [ "localhost" ]; } );\n~ . $pool, '--strict'))[0], 0, 'but not localhost';
    for ([ '/a%2fb', qr/"\/a%2fb"/ ], [ '/%61dmin', qr/it arrives as "\/admin"; write that/ ], [ '/caf%c3%a9', qr/it arrives as "\/caf%C3%A9"/ ]) {
        warned $good . $pool . qq~routes = ( { path = "$_->[0]"; pool = "pas"; } );\n~, $_->[1], "a path that never matches: $_->[0]";
    }
};

subtest 'chains' => sub {
    my @ec = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);
    my $inter = tmp('inter');
    run_cmd('openssl', 'req', @ec, '-subj', '/CN=pasgate test intermediate', '-keyout', "$inter.key", '-out', "$inter.csr");
    my $make = sub {
        my ($csr, $ca, $cakey, $ext, $out, @days) = @_;
        spew("$inter.ext", "$ext\n");
        my ($code, $said) = run_cmd('openssl', 'x509', '-req', '-in', $csr, '-CA', $ca, '-CAkey', $cakey, '-CAcreateserial',
            '-days', 90, '-extfile', "$inter.ext", '-out', $out);
        die $said if $code;
    };
    $make->("$inter.csr", tmp('ca.pem'), tmp('ca.key'), 'basicConstraints=critical,CA:true', "$inter.pem");
    my $leaf = tmp('leaf.pem');
    $make->(tmp('shop.csr'), "$inter.pem", "$inter.key",
        "subjectAltName=DNS:shop.test\nauthorityInfoAccess=caIssuers;URI:http://127.0.0.1/inter.der", $leaf);
    warned $listen . cert('shop.test', $leaf, $shop[1]) . $pool, qr/the chain is incomplete: .*"pasgate test intermediate" is missing/, 'a chain without its intermediate'
      if -e '/etc/ssl/certs/ca-certificates.crt';
    spew(tmp('whole.pem'), slurp_it($leaf) . slurp_it("$inter.pem"));
    is +(check($listen . cert('shop.test', tmp('whole.pem'), $shop[1]) . $pool, '--strict'))[0], 0, 'a whole one';
    my $old = PasGate::make_dated("$inter.csr", -20, -10, 'DNS:x');
    spew(tmp('old.pem'), slurp_it($leaf) . slurp_it($old));
    warned $listen . cert('shop.test', tmp('old.pem'), $shop[1]) . $pool, qr/certificate 2 of the chain, an intermediate one, has expired/, 'an intermediate that has expired';
    my $soon = PasGate::make_dated(tmp('shop.csr'), -60, 5, 'DNS:shop.test');
    warned $listen . cert('shop.test', $soon, $shop[1]) . $pool, qr/the certificate expires in [45] days/, 'one that ends soon';
    warned $listen . cert('www.test', @shop) . $pool, qr/the certificate is not for www\.test/, 'another name';
};

subtest 'start, reload, and what goes bad meanwhile' => sub {
    my ($chain, $key) = map { tmp("site.$_") } qw(pem key);
    spew($chain, slurp_it($shop[0]));
    spew($key,   slurp_it($other[1]));
    my $gate = PasGate->new(backends => [$pas], start => 0,
        certs => qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }));
    my ($code, $text) = run_cmd(PasGate::binary(), 'run', '-c', $gate->{conf});
    is $code, 78, 'a fresh start is refused';
    like $text, qr/shop\.test: the key does not match the certificate/, 'and says why';

    spew($key, slurp_it($shop[1]));
    $gate->start;
    my $page = sub { $gate->get('/', port => $gate->{status_port}, plain => 1)->{body} };
    ok wait_for { $page->() =~ />all well</ }, 'with the right key all is well';
    spew($key, slurp_it($other[1]));
    ok wait_for { $page->() =~ /pill warn">certificate shop\.test: the key does not match the certificate</ }, 'a pair that goes bad: the page says so';
    is $gate->get('/pas/get')->{status}, 200, 'and the old pair serves';
    ($code, $text) = $gate->cli('reload');
    is $code, 78, 'a reload is refused';
    like $text, qr/generation 1 stays in use.*shop\.test: the key does not match the certificate/s, 'and says why';
    $gate->stop_ok;
    spew($_, "source=self\n") for glob "$gate->{dir}/store/certs/shop.test/*/meta";    # wrong: the pair itself counts
    my $from = length $gate->log_text;
    $gate->start;
    ok $gate->wait_log(qr/configuration: .*the key does not match the certificate; the previous pair is served/, undef, $from),
      'a restart serves the pair that the store has, and warns';
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    spew($key, slurp_it($shop[1]));
    ok wait_for { $page->() =~ />all well</ }, 'mended: all is well';
    ($code, $text) = $gate->cli('reload');
    is $code, 0, 'a reload is taken';
    $gate->stop_ok;
};

done_testing;
