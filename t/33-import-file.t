# Certificates that somebody else made: PKCS #12, and PEM whose key has a password.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::SSL;
use POSIX ();
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my ($chain, $key) = map { tmp("conf-$_") } qw(chain.pem key.pem);
my $files = qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; });
my $gate  = PasGate->new(backends => [$pas], workers => 2, start => 0, certs => $files);

sub openssl
{
    my ($code, $said) = run_cmd('openssl', @_);
    die "openssl @_: $said" if $code;
    return $said;
}

# A pair of a root, one of the root for an intermediate, one of that for a name.
sub make
{
    my ($id, $subject, $extension, $above) = @_;
    my @file = map { tmp("$id.$_") } qw(crt key csr ext);
    spew($file[3], "$extension\n");
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$subject", '-keyout', $file[1], '-out', $file[2]);
    openssl('x509', '-req', '-in', $file[2], '-days', 300, '-extfile', $file[3], '-out', $file[0],
        $above ? ('-CA', tmp("$above.crt"), '-CAkey', tmp("$above.key"), '-CAcreateserial') : ('-signkey', $file[1]));
    return @file[0, 1];
}

my ($root)   = make('root', 'root of the test', 'basicConstraints=critical,CA:TRUE');
my ($middle) = make('middle', 'intermediate of the test', 'basicConstraints=critical,CA:TRUE', 'root');
my ($leaf, $leaf_key) = make('leaf', 'shop.test', 'subjectAltName=DNS:shop.test', 'middle');
my ($stranger, $stranger_key) = make('stranger', 'stranger.test', 'subjectAltName=DNS:stranger.test', 'middle');
my ($password, $wrong) = map { tmp("$_.txt") } qw(password wrong);
spew($password, "s3cret word\n");
spew($wrong,    "secret word\n");

# Root first, so that the order in it is not that of a chain.
spew(tmp('others.pem'), slurp($root) . slurp($middle));

sub p12
{
    my ($name, @more) = @_;
    my $file = tmp($name);
    openssl('pkcs12', '-export', '-out', $file, '-passout', "file:$password", @more);
    return $file;
}

my $p12 = p12('shop.p12', '-in', $leaf, '-inkey', $leaf_key, '-certfile', tmp('others.pem'));

# Without a terminal, unless that is what it is about.
sub import
{
    my ($want, $re, $name, @arg) = @_;
    my ($code, $said) = run_cmd('setsid', '-w', PasGate::binary(), 'cert', 'import', '-c', $gate->{conf}, @arg);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $code == $want && $said =~ $re, $name or diag "exit code $code: $said";
    return $said;
}

# The same at a terminal where $typed comes after the question: (exit code, what it shows).
sub at_terminal
{
    my ($typed, @arg) = @_;
    my ($unlock, $number) = (pack('i', 0), pack('i', 0));
    open my $ptmx, '+<', '/dev/ptmx' or die "ptmx: $!";
    ioctl($ptmx, 0x40045431, $unlock) && ioctl($ptmx, 0x80045430, $number) or die "pty: $!";
    my $pid = fork // die;
    if (!$pid) {
        POSIX::setsid();
        open my $tty, '+<', '/dev/pts/' . unpack('i', $number) or POSIX::_exit(127);
        POSIX::dup2(fileno $tty, $_) for 0 .. 2;
        exec(PasGate::binary(), 'cert', 'import', '-c', $gate->{conf}, @arg) or POSIX::_exit(127);
    }
    my $said = '';
    wait_for {
        my ($readable, $bytes) = ('', '');
        vec($readable, fileno $ptmx, 1) = 1;
        return 0 unless select $readable, undef, undef, 0.1;
        return 1 unless sysread $ptmx, $bytes, 4096; # it has ended
        $said .= $bytes;
        syswrite $ptmx, "$typed\n" and undef $typed if defined $typed && $said =~ /: $/;
        return 0;
    };
    waitpid $pid, 0;
    return ($? >> 8, $said);
}

sub served
{
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => 'shop.test',
        SSL_verifycn_name => 'shop.test', SSL_verifycn_scheme => 'http', SSL_ca_file => $root, Timeout => 10)
      or return "no TLS: $SSL_ERROR";
    my $serial = Net::SSLeay::P_ASN1_INTEGER_get_hex(Net::SSLeay::X509_get_serialNumber($sock->peer_certificate));
    $sock->close;
    return $serial;
}

sub serial { return openssl('x509', '-in', $_[0], '-noout', '-serial') =~ /=(\w+)/ ? $1 : '?' }

subtest 'what is wrong is said' => sub {
    import 1, qr/shop\.p12 has a password: there is no terminal.*--password-file/, 'no terminal', $p12;
    import 1, qr/shop\.p12: the password is wrong$/, 'a wrong password', $p12, '--password-file', $wrong;
    import 1, qr/cannot read .*nowhere: No such file/, 'no such password file', $p12, '--password-file', tmp('nowhere');
    import 2, qr/nowhere\.p12 is not a file/, 'no such file', tmp('nowhere.p12'), '--password-file', $password;
    import 2, qr/nowhere\.p12 is neither a file \(.*\) nor a directory/, 'nor a directory', tmp('nowhere.p12');
    import 2, qr/: --key and --password-file need a file to import$/, 'options without one', '--key', $leaf_key;
    my $none = p12('none.p12', '-nokeys', '-in', $leaf);
    import 1, qr/none\.p12: holds no key: export it together/, 'no key in it', $none, '--password-file', $password;
    import 1, qr/none\.p12: holds no key: .*openssl pkcs12 -nokeys\) and import the PEM file with --key$/, 'nor where it may be instead', $none,
      '--password-file', $password;
    import 1, qr/none\.p12: is PKCS #12, .*leave out --key\. If it has none, convert it first \(openssl pkcs12 -nokeys\), and import the PEM/,
      'not in circles', $none, '--key', $leaf_key, '--password-file', $password;
    import 1, qr/leaf\.crt: holds no key in PEM: give the file of the key with --key/, 'nor in this one', $leaf;
    import 1, qr/the key does not match any certificate in it/, 'a key of another', $leaf, '--key', $stranger_key;
    import 1, qr/holds no certificate, neither in PEM nor PKCS #12/, 'rubbish', $password, '--key', $leaf_key;
    import 1, qr/matches no certificate of .*: the certificate is not for shop\.test/, 'for another name', $stranger, '--key', $stranger_key;
    import 1, qr/there is no certificate "shap" in/, 'by a name that nothing has', $p12, 'shap', '--password-file', $password;
    ok !-e $_, 'nothing is written' for $chain, $key;
};

subtest 'PKCS #12 into files' => sub {
    import 0, qr/would become the files of certificate shop\.test, until 20/, 'a dry run', $p12, '--password-file', $password,
      '--dry-run';
    ok !-e $chain, 'writes nothing';
    import 0, qr/is in the files of certificate shop\.test, until 20.*\Q$chain\E and \Q$key\E$/, 'it is taken', $p12,
      '--password-file', $password;
    is slurp($chain) =~ s/^(?!-----).*//mgr, (slurp($leaf) . slurp($middle)) =~ s/^(?!-----).*//mgr, 'in the order of a chain';
    is sprintf('%o', (stat $key)[2] & 07777), '600', 'the key is for nobody else';
    $gate->start;
    ok wait_for { served() eq serial($leaf) }, 'and served with its chain' or diag served();
};

subtest 'at a terminal, while the service runs' => sub {
    my ($new) = make('leaf', 'shop.test', 'subjectAltName=DNS:shop.test', 'middle');
    my $next = p12('next.p12', '-in', $new, '-inkey', $leaf_key, '-certfile', tmp('others.pem'));
    my ($code, $said) = at_terminal('s3cret word', $next);
    is $code, 1, 'what is there is not replaced by mistake';
    like $said, qr/Password of .*next\.p12: \s+pasgate: .* already exists with other content: add --force/, 'and said';
    unlike $said, qr/s3cret/, 'the password is not shown';
    ($code, $said) = at_terminal('s3cret word', $next, '--force');
    is $code, 0, 'with --force it is' or diag $said;
    ok wait_for { served() eq serial($new) }, 'and goes live';
    ($code, $said) = at_terminal("s3cret\x03", $next);
    is $code, 1, '^C ends the question';
    like $said, qr/none was given/, 'as said';
};

subtest 'an old cipher' => sub {
    my $old = p12('old.p12', '-legacy', '-in', $leaf, '-inkey', $leaf_key, '-certfile', tmp('others.pem'));
    my $said = import 1, qr/old cipher \(RC2-40-CBC\), which OpenSSL reads with its legacy provider only; convert it/,
      'is named', $old, '--password-file', $password;
    my ($command) = $said =~ /remove that: (openssl .*) -out new\.pem$/m;
    my $pem = tmp('new.pem');
    is +(run_cmd('sh', '-c', "$command -out $pem -passin file:$password"))[0], 0, 'the command works';
    import 0, qr/is in the files of certificate shop\.test/, 'and its file is taken', $pem, '--force';
    my $weak = tmp('weak.key');
    openssl('rsa', '-in', $leaf_key, '-traditional', '-des', '-provider', 'legacy', '-provider', 'default', '-out', $weak,
        '-passout', "file:$password");
    $said = import 1, qr/old cipher \(DES-CBC\).*openssl pkey -provider legacy/, 'of a key, too', $leaf, '--key', $weak,
      '--password-file', $password;
};

subtest 'an encrypted key in PEM' => sub {
    my ($pkcs8, $classic, $both) = map { tmp($_) } qw(pkcs8.key classic.key both.pem);
    openssl('pkcs8', '-topk8', '-in', $leaf_key, '-out', $pkcs8, '-passout', "file:$password");
    openssl('rsa', '-in', $leaf_key, '-traditional', '-aes256', '-out', $classic, '-passout', "file:$password");
    spew($both, slurp($pkcs8) . slurp($middle) . slurp($leaf));
    import 1, qr/pkcs8\.key has a password: there is no terminal/, 'no terminal', $leaf, '--key', $pkcs8;
    import 1, qr/pkcs8\.key: the password is wrong$/, 'a wrong password', $leaf, '--key', $pkcs8, '--password-file', $wrong;
    import 1, qr/classic\.key: the password is wrong$/, 'the older form', $leaf, '--key', $classic, '--password-file', $wrong;
    my @group = ($>, $> ? (split ' ', $))[-1] : 4242);    # root may give it to any
    ok chown(@group, $key) && chmod(0640, $key) && chmod(0600, $chain), 'a group may read the key, and nobody else the chain';
    import 0, qr/is in the files/, 'PKCS #8',   $leaf, '--key', $pkcs8,   '--password-file', $password, '--force';
    import 0, qr/is in the files/, 'traditional', $leaf, '--key', $classic, '--password-file', $password, '--force';
    import 0, qr/is in the files/, 'all in one file', $both, '--password-file', $password, '--force';
    like slurp($key), qr/^-----BEGIN PRIVATE KEY-----/, 'the written one has no password';
    is_deeply [(stat $key)[4, 5], sprintf '%o', (stat $key)[2] & 07777], [@group, '640'], 'it has the owner, group and mode of the one before';
    is sprintf('%o', (stat $chain)[2] & 07777), '600', 'the chain, too';
};

subtest 'into the store' => sub {
    $gate->stop_ok;
    $gate->write_config(certs => "$files, " . qq({ names = [ "shop.test" ]; name = "rsa"; chain = "$chain"; key = "$key"; }));
    import 1, qr/matches certificates shop\.test and rsa: say which one, as in `pasgate cert import \S+ shop\.test`/, 'not for either of two',
      $p12, '--password-file', $password;
    my $certs = '{ names = [ "shop.test" ]; key_type = [ "p256", "rsa2048" ]; }';
    $gate->write_config(certs => "$certs, " . '{ names = [ "other.test" ]; name = "other"; }');
    import 1, qr/is not for certificate other: the certificate is not for other\.test/, 'not for another one', $p12, 'other',
      '--password-file', $password;
    import 0, qr/is generation 1 of shop\.test-rsa, until 20.*it is renewed/, 'for the one of two that is to have such a key', $p12,
      '--password-file', $password;
    $gate->start;
    my ($row) = grep { $_->{name} eq 'shop.test-rsa' } @{ $gate->status->{certificates} };
    is $row->{source}, 'acme', 'as one of the CA';
    ok wait_for { served() =~ /^\w+$/ }, 'it is served' or $gate->tell;
    import 1, qr/another pasgate uses it: stop it, import, and start it again/, 'not while the service runs', $p12,
      '--password-file', $password;
    $gate->stop_ok;
    spew("$gate->{dir}/store/certs/shop.test-rsa/1/revoked", "reason=4\n");
    import 1, qr/was revoked at 20/, 'nor one that is marked as revoked, and not on the list yet', $p12, '--password-file', $password;
};

done_testing;
