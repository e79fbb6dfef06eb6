# An application of Rails with Action Cable and Redis, and channels for codes and for Turbo Streams.
#
# REDIS_URL is the address of Redis. The user "stranger" is refused, and so are subscriptions to the
# room "private". What is posted to /api/ingest goes to the room that it names, in both forms;
# POST /restart restarts Action Cable.

require "rails"
require "action_controller/railtie"
require "action_cable/engine"

class CodesApp < Rails::Application
  config.load_defaults 6.1
  config.root = __dir__
  config.eager_load = false
  config.secret_key_base = "of the tests only"
  config.hosts.clear
  config.logger = ActiveSupport::Logger.new($stdout)
  config.log_level = :warn
  config.action_cable.mount_path = "/cable"
  # Several threads overtake one another, so that messages of one stream come out of order.
  config.action_cable.worker_pool_size = 1
  config.action_cable.allow_same_origin_as_host = true
  routes.append do
    post "/api/ingest", to: "codes#ingest"
    post "/restart", to: "codes#restart"
    get "/rooms/:room", to: "codes#room"
  end
end

CodesApp.initialize!

module ApplicationCable
  class Connection < ActionCable::Connection::Base
    identified_by :username

    def connect
      self.username = request.params[:username].to_s
      reject_unauthorized_connection if username == "stranger"
    end
  end
end

class CodesChannel < ActionCable::Channel::Base
  def subscribed
    params[:room] == "private" ? reject : stream_from("codes:#{params[:room]}")
  end
end

module Turbo
  # As in turbo-rails, which Debian does not package.
  def self.signed_stream_verifier
    ActiveSupport::MessageVerifier.new(
      Rails.application.key_generator.generate_key("turbo/signed_stream_verifier_key"),
      digest: "SHA256", serializer: JSON
    )
  end

  class StreamsChannel < ActionCable::Channel::Base
    def subscribed
      name = Turbo.signed_stream_verifier.verified(params[:signed_stream_name])
      name ? stream_from(name) : reject
    end
  end
end

class CodesController < ActionController::Base
  skip_forgery_protection

  def ingest
    room, code = params[:channel], params[:code].to_s
    return render(json: { error: "code is missing" }, status: 422) if code.empty?

    ActionCable.server.broadcast("codes:#{room}", { code: code, padding: params[:padding] }.compact)
    ActionCable.server.broadcast(
      "turbo:#{room}",
      %(<turbo-stream action="append" target="codes"><template><p>#{code}</p></template></turbo-stream>)
    )
    render json: { status: "success" }
  end

  def restart
    ActionCable.server.restart
    head :no_content
  end

  def room
    name = Turbo.signed_stream_verifier.generate("turbo:#{params[:room]}")
    render html: <<~HTML.html_safe
      <turbo-cable-stream-source channel="Turbo::StreamsChannel" signed-stream-name="#{name}">
      </turbo-cable-stream-source>
    HTML
  end
end

ActionCable.server.config.cable = { "adapter" => "redis", "url" => ENV.fetch("REDIS_URL") }
ActionCable.server.config.connection_class = -> { ApplicationCable::Connection }

run CodesApp
