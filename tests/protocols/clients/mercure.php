<?php
// Publishes codes by Symfony's library: mercure.php HUB TOKEN TOPIC CODE…
require '/usr/share/php/Symfony/Component/Mercure/autoload.php';

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

[, $url, $token, $topic] = $argv;
$hub = new Hub($url, new StaticTokenProvider($token));
foreach (array_slice($argv, 4) as $code) {
    $hub->publish(new Update($topic, json_encode(['code' => $code]), true));
}
