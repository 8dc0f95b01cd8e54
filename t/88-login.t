# HTTP Basic on a route: who gets in, what the backend is told, how guesses are bounded, and that
# verifying a password holds up nobody else.
use strict;
use warnings;
use lib 't/lib';
use MIME::Base64;
use PasGate;
use Test::More;
use Time::HiRes 'time';

sub bcrypt { my ($password, $cost) = @_; return crypt($password, sprintf '$2y$%02d$abcdefghijklmnopqrstuu', $cost // 4) }
my $raw = PasGate::Scripted->new(reply => sub { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" });
my $gate = PasGate->new(
    backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', start => 0,
    global => 'trusted = [ "127.0.9.0/24" ];',
    routes => '{ path = "/"; pool = "pas"; }, { path = "/in"; pool = "pas"; basic = { file = "users"; realm = "the office"; }; },'
      . ' { path = "/on"; pool = "pas"; basic = { file = "users"; pass = true; cache = "off"; }; }');
my $users = "$gate->{dir}/users";
my @lines = ('# people', '', 'anna:' . bcrypt('secret'), 'bert:' . crypt('geheim', '$6$rounds=1000$salt'),
    'carl:' . crypt('tajny', '$5$salt'), 'slow:' . bcrypt('slow', 12));
sub users { spew($users, join '', map { "$_\n" } @lines, @_); chmod 0600, $users }
users();
$gate->start;

my $asked = 0;
# A request with these credentials; what the backend got is in got().
sub as
{
    my ($path, $who, %opt) = @_;
    my @auth = defined $who ? (['Authorization', 'Basic ' . encode_base64($who, '')]) : ();
    my $id = 'n' . ++$asked;
    return $gate->request($opt{method} // 'GET', "$path/$id", plain => 1, %opt,
        headers => [@auth, @{ $opt{headers} // [] }]);
}
sub got
{
    my ($bytes) = map { m{( /\w+/n$asked HTTP.*?\r\n\r\n)}s } $raw->seen;
    return { map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () } split /\r\n/, $bytes // '' };
}
sub total { return $gate->status->{totals}{ $_[0] } }

subtest 'who gets in' => sub {
    my $r = as('/in', undef);
    is $r->{status}, 401, 'without a name: 401';
    is_deeply $r->{headers}{'www-authenticate'} // $r->{header}{'www-authenticate'}, 'Basic realm="the office", charset="UTF-8"', 'and how to log in'
      if ref($r->{headers} // $r->{header}) eq 'HASH';
    is as('/in', 'anna:secret')->{status}, 200, 'bcrypt';
    is got->{'x-remote-user'}, 'anna', 'the backend is told who it is';
    is got->{authorization}, undef, 'and not the password';
    is as('/in', 'anna:secret')->{status}, 200, 'again, from memory';
    is as('/in', 'bert:geheim')->{status}, 200, 'SHA-512-crypt';
    is as('/in', 'carl:tajny')->{status}, 200, 'SHA-256-crypt';
    my $line = wait_for { (grep { $_->{target} eq "/in/n$asked" } $gate->access)[0] };
    is $line->{user}, 'carl', 'the access log has the name';
    is as('/on', 'anna:secret')->{status}, 200, 'another route';
    is got->{authorization}, 'Basic ' . encode_base64('anna:secret', ''), 'which passes the password on';
    is as('/in', 'anna:secret', headers => [['X-Remote-User', 'root'], ['x_remote_user', 'root'], ['X-REMOTE-USER', 'admin']])->{status}, 200,
      'a name in a field of the client';
    is got->{'x-remote-user'}, 'anna', 'is replaced';
    is_deeply [grep { /remote/ } keys %{ got() }], ['x-remote-user'], 'in any spelling';
    is as('/', 'anna:secret', headers => [['X-Remote-User', 'root']])->{status}, 200, 'where nobody has to log in';
    my ($bytes) = map { m{(GET //n$asked HTTP.*?\r\n\r\n)}s } $raw->seen;
    unlike $bytes // '', qr/x.remote.user/i, 'it is dropped, too';
};

subtest 'a body comes with it' => sub {
    my $r = as('/on', 'anna:secret', method => 'POST', body => 'x' x 100_000);
    is $r->{status}, 200, 'larger than the request buffer';
    is as('/on', 'anna:wrong', method => 'POST', body => 'x' x 1000)->{status}, 401, 'and with a wrong password';
    ok !(grep { m{POST /on/n$asked } } $raw->seen), 'that reaches no backend';
};

subtest 'who does not' => sub {
    my $before = total('logins_failed');
    for my $who ('anna:Secret', 'anna:', 'dora:secret', 'anna:secret2') { is as('/in', $who)->{status}, 401, $who }
    ok wait_for { total('logins_failed') == $before + 4 }, 'they are counted';
    for my $field ('Basic', 'Basic !!!', 'Bearer abc', 'Basic ' . encode_base64('anna', ''), 'Basic ' . encode_base64("an\nna:x", ''),
        'Basic ' . encode_base64("anna:sec\0ret", ''), 'Basic ' . 'QUFB' x 200) {
        is $gate->request('GET', '/in/x', plain => 1, headers => [['Authorization', $field]])->{status}, 401, substr $field, 0, 30;
    }
    ok $gate->wait_log(qr{warn .*login failed at route /on: user anna from 127\.0\.0\.1}), 'logged with its name';
    unlike $gate->log_text, qr/Secret|secret/, 'never with the password';
    is total('logins_failed'), $before + 4, 'what is no password is not a wrong one';
};

subtest 'guesses' => sub {
    my $from = sub { as('/in', $_[0], headers => [['X-Forwarded-For', $_[1] // '192.0.2.1']], port => $gate->{plain}, local => 1) };
    # Through a trusted balancer, so that the address of the client can be chosen.
    my $guess = sub {
        my ($who, $client) = @_;
        my $sock = IO::Socket::INET->new(LocalAddr => '127.0.9.1', PeerAddr => '127.0.0.1', PeerPort => $gate->{plain}) or return -1;
        print {$sock} "GET /in/g HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: $client\r\nAuthorization: Basic "
          . encode_base64($who, '') . "\r\n\r\n";
        my $all = '';
        1 while sysread $sock, $all, 65536, length $all;
        return $all;
    };
    like $guess->('anna:secret', '192.0.2.1'), qr/^HTTP\/1.1 200/, 'the right one first';
    like $guess->("anna:$_", '192.0.2.1'), qr/^HTTP\/1.1 401/, "guess $_" for 1 .. 10;
    my $all = $guess->('bert:geheim2', '192.0.2.1');
    like $all, qr/^HTTP\/1.1 429/, 'the next one is not verified';
    like $all, qr/^Retry-After: \d+\r$/m, 'and says when';
    like $guess->('anna:secret', '192.0.2.1'), qr/^HTTP\/1.1 200/, 'who is remembered is served';
    like $guess->('bert:geheim2', '192.0.2.2'), qr/^HTTP\/1.1 401/, 'and others are not affected';
    ok $gate->wait_log(qr/logins from 192\.0\.2\.1 are not verified for \d+ s/), 'it is logged';
    ok total('logins_limited') >= 1, 'and counted';
};

subtest 'nobody else waits' => sub {
    my $slow = time;
    is as('/in', 'slow:slow')->{status}, 200, 'a slow password';
    $slow = time - $slow;
    my @conn = map {
        my $c = $gate->connect(plain => 1);
        $c->write("GET /on/s$_ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " . encode_base64("slow:no$_", '') . "\r\n\r\n");
        $c
    } 1 .. 5;
    my $others = time;
    is as('/', undef)->{status}, 200, 'a request of somebody else' for 1 .. 20;
    $others = time - $others;
    cmp_ok $others / 20, '<', $slow, "takes less than one password: $others s for 20, $slow s for one";
    $_->close for @conn;    # their clients go away meanwhile
    is as('/in', 'anna:secret')->{status}, 200, 'it serves on';
};

subtest 'a reload' => sub {
    users('dora:' . bcrypt('new'));
    is as('/in', 'dora:new')->{status}, 401, 'before it' ;
    $gate->signal('HUP');
    ok wait_for { as('/in', 'dora:new')->{status} == 200 }, 'it reads the file again';
};

subtest 'what check says' => sub {
    my @hash = ('$2y$10$short', '$apr1$x$y', 'plain', '$2y$16$' . 'a' x 53, '$6$rounds=2000000$salt$' . 'a' x 86, '$6$' . 'b' x 86, '');
    spew($users, join "\n", 'nocolon', (map { "u$_:$hash[$_]" } 0 .. $#hash), ':' . bcrypt('x'), 'anna:' . bcrypt('x'), 'anna:' . bcrypt('y'), '');
    my ($code, $said) = $gate->cli('check');
    is $code, 78, 'a bad file is refused';
    like $said, qr/pasgate\.conf:\d+: routes\.basic\.file: \Q$users\E:1: has no colon; write NAME:HASH/, 'no colon';
    like $said, qr/users:2: its bcrypt hash is damaged/, 'a short hash';
    like $said, qr/users:$_: its hash is neither bcrypt nor SHA-crypt/, "line $_: another hash" for 3, 4, 8;
    like $said, qr/users:5: its bcrypt hash has a cost above 14/, 'a high cost';
    like $said, qr/users:6: its SHA-crypt hash has more than 1000000 rounds/, 'many rounds';
    like $said, qr/users:7: its SHA-crypt hash is damaged/, 'no salt';
    like $said, qr/users:9: has no name/, 'no name';
    like $said, qr/users:11: names a user a second time/, 'twice';
    unlike $said, qr/aaaaa/, 'no hash is printed';
    users();
    chmod 0644, $users;
    ($code, $said) = $gate->cli('check');
    is $code, 0, 'a file that others can read is a warning' or diag $said;
    like $said, qr/users can be read by others \(mode 644\); write mode 0640 or 0600/, 'which says so';
    ($code, $said) = $gate->cli('check', '--dump');
    unlike $said, qr/\$2y|\$6/, 'the dump has no hash';
    unlink $users;
    ($code, $said) = $gate->cli('check');
    like $said, qr/cannot read \Q$users\E: No such file/, 'no file';
    users();
};

subtest 'its process' => sub {
    my ($worker) = $gate->workers;
    my ($keeper) = split ' ', slurp("/proc/$worker/task/$worker/children");
    my ($verifier) = split ' ', slurp("/proc/$keeper/task/$keeper/children");
    ok $verifier, 'verifies passwords' or return;
    kill KILL => $verifier;
    # A question that it has taken is lost: it must be gone before the next one.
    ok wait_for { my ($next) = split ' ', slurp("/proc/$keeper/task/$keeper/children"); $next && $next != $verifier }, 'another one is started';
    ok wait_for { as('/on', 'bert:geheim')->{status} == 200 }, 'and serves';
    kill KILL => $worker;
    ok wait_for { !-e "/proc/$keeper" }, 'it ends with its worker';
};

$gate->stop_ok;
done_testing;
