"""Everyday functions with the ways people ask for them. One block of text per function; knows how to read the blocks.

A block: ``name | description | reply kind``, then parameters ``- name:kind[?][=default] description``, then requests.
``{slot}`` is the value of a parameter; a request that lacks a required slot must not occur.
"""

from dataclasses import dataclass

from llamachat.training.intents_more import TEXT as MORE


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter: ``kind`` names how values are drawn (see schema.py)."""

    name: str
    kind: str
    about: str
    required: bool = True
    default: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """A function and its requests, each a phrasing with slots."""

    name: str
    about: str
    reply: str
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]


def read(text: str) -> tuple[Intent, ...]:
    """The intents of ``text``, blocks separated by empty lines."""
    return tuple(_block(block.strip().splitlines()) for block in text.strip().split("\n\n"))


def _block(lines: list[str]) -> Intent:
    name, about, reply = (part.strip() for part in lines[0].split(" | "))
    slots = tuple(_slot(line[2:]) for line in lines[1:] if line.startswith("- "))
    return Intent(name, about, reply, slots, tuple(line for line in lines[1:] if not line.startswith("- ")))


def _slot(line: str) -> Slot:
    head, about = line.split(" ", 1)
    name, kind = head.split(":", 1)
    kind, _, default = kind.partition("=")
    return Slot(name, kind.rstrip("?"), about, not kind.endswith("?") and not default, default)


TEXT = """
weather_now | Weather at a place right now | weather
- place:city Name of the town
[What's|How is|What is] the weather[ like|] in {place}[ today| right now|]?
[Is it|Will it be] [raining|sunny|cold|warm|nice] in {place}[ today| now|]?
[Do I need|Should I take] [an umbrella|a coat|a jacket] in {place}?
[Tell me|Show me] the [current |]weather [in|for] {place}.
weather {place}

forecast | Weather forecast for the next days | weather
- city:city Town
- days:small Number of days
[What will the weather be|Forecast|Give me the forecast] [in|for] {city} [for|over] the next {days} days[?|]
[I'm going to|I travel to] {city} for {days} days. [What is the forecast|What weather should I expect]?
[Will it rain|How will the weather be] in {city} in the next {days} days?

set_alarm | Set an alarm clock | done
- time:clock Time as HH:MM
- label:title? Name of the alarm
[Set|Make|Create] an alarm [for|at] {time}[.|, call it {label}.| called {label}.| with the label {label}.]
[Wake me|Get me up] [at|by] {time}[.|, label it {label}.]
I [need|have] to [get up|wake up] at {time}.

countdown | Start a kitchen timer | done
- minutes:small How many minutes
[Start|Set|Run] a [timer|countdown] [for|of] {minutes} minutes[.|]
[Remind|Tell|Call] me in {minutes} minutes.
{minutes} minute timer[ please|]
[Count|Time] {minutes} minutes[ for me|].

send_message | Send a text message to a person | done
- to:person Recipient
- text:phrase What to say
[Send|Write|Text] {to} [a message saying|the message|:] {text}
[Tell|Text|Message] {to} "{text}"
[Let|Can you let] {to} know: {text}
[Send|Text] "{text}" to {to}.

send_email | Send an email | id
- recipient:email Address of the recipient
- subject:phrase Subject line
[Send|Write] [an email|a mail|an e-mail] to {recipient} [with the subject|about|with subject] {subject}.
[Mail|Email] {recipient} [about|with subject] "{subject}".

call_contact | Make a phone call | done
- name:person Who to call
[Call|Ring|Phone|Dial] {name}[.| please.| now.]
[I want to talk|Let me speak|Connect me] to {name} [on the phone|by phone].

book_table | Book a table in a restaurant | id
- restaurant:title Name of the restaurant
- people:small Number of guests
- time:clock Time as HH:MM
[Book|Reserve|Get] [me |us |]a table at {restaurant} for {people} [people|persons|guests|] at {time}.
[We are|We're] {people} and want to [eat|have dinner] at {restaurant} at {time}.
[Table|A table] for {people} at {restaurant}, {time}[ please|].

restaurant_search | Look for places to eat | places
- food:food Kind of cooking
- town:city Where
[Find|Show me|I want|Search for] [a |]{food} [restaurant|food|place][s|] in {town}.
[Where can I|Where do I|I'd like to] [eat|get|find] {food} [food|dishes] in {town}?
[Any good|Is there a] {food} [restaurants|place] in {town}?

light | Switch the lamp of a room on or off | done
- room:room Which room
- state:enum(on,off) New state
[Turn|Switch] {state} the [light|lights|lamp] in the {room}.
[Turn|Switch] the {room} [light|lights|lamp] {state}.
[Lights|Light] {state} in the {room}[ please|].

set_temperature | Set the thermostat of a room | done
- room:room Room
- degrees:degree Degrees Celsius
[Set|Turn|Put] the [heating|thermostat|temperature] in the {room} to {degrees}[ degrees|].
[Heat|Warm] the {room} to {degrees} degrees.
[Make|I want] it {degrees} degrees in the {room}.

volume | Change how loud the music plays | done
- level:percent Volume from 0 to 100
[Set|Turn|Put] the [volume|sound|music] [to|at] {level}[ percent|%|].
[Make it|Play the music] [louder|quieter|at]: {level}[ percent|].

play_song | Play a song | done
- song:title Title of the song
- artist:person? Who sings it
[Play|Put on|Start] [the song |]{song}[.| by {artist}.]
[I want to hear|Let me hear|Can you play] {song}[| by {artist}]?

translate_text | Translate a text | translation
- text:phrase The text
- language:language Target language
[Translate|Put] "{text}" [to|into] {language}.
[How do you say|What is] "{text}" in {language}?
[Say|Write] "{text}" in {language}.

exchange_rate | Rate between two currencies | number(rate)
- base:currency Currency code to convert from
- target:currency Currency code to convert to
[What is|What's|Give me] the exchange rate [from|of] {base} to {target}?
How many {target} [is|are|do I get for] one {base}?
{base} to {target} rate[?|]

convert_money | Convert an amount between currencies | number(amount)
- amount:number How much
- source:currency Currency code
- target:currency Currency code
[Convert|Change|Exchange] {amount} {source} [to|into|in] {target}.
[How much|What] [is|are] {amount} {source} in {target}?
[I have|I've got] {amount} {source}, how many {target} [is that|do I get]?

stock_quote | Price of a share | number(price)
- symbol:ticker Ticker symbol
[What is|What's|Show me|Get] the [price|quote|share price|stock price] of {symbol}[?|]
How [much is|is] {symbol} [trading at|worth|doing]?
[Price of|Quote for] [a share of |]{symbol}[?|]

order_status | Where an order is | status
- order_id:code Number of the order
[Where is|What happened to|What's up with|Track] [my |]order {order_id}[?|]
[Has|Did] [my |]order {order_id} [shipped|arrived|been sent][ yet|]?
[Check|Show|Look up] the status of [order |]{order_id}.

track_parcel | Follow a parcel | status
- number:code Tracking number
[Track|Where is|Locate|Find] [my |the |]parcel {number}[?|]
[When will|When does] [my |the |]parcel {number} arrive?
My tracking number is {number}[, where is my package|].

cancel_order | Cancel an order | done
- order_id:code Number of the order
[Cancel|Stop|Call off] [my |the |]order {order_id}[.| please.]
I [don't want|no longer need] order {order_id}[ any more|].

flight_status | Whether a flight is on time | status
- flight:flight Flight number
[Is|Will] flight {flight} [on time|late|delayed]?
[What is the status|Give me the status|How is it] of flight {flight}?
[When does|Has] {flight} [land|landed|arrived]?

find_trains | Trains between two towns | times
- origin:city Where to start
- destination:city Where to go
[Find|Show me|Which are the|List] trains from {origin} to {destination}[.|]
[When|How] [does the train go|do I get] from {origin} to {destination}[ by train|]?
I [want|need] to [go|travel] to {destination} from {origin} [by train|by rail].

buy_ticket | Buy tickets for an event | id
- event:title Name of the event
- count:small Number of tickets
[Buy|Get|Order|Book] [me |]{count} [tickets|seats] for {event}.
[We need|I'd like|I want] {count} tickets [for|to] {event}.

book_hotel | Book a hotel room | id
- city:city Town
- nights:small Number of nights
[Book|Reserve|Find] [me |]a [hotel|room|hotel room] in {city} for {nights} nights.
[I'm staying|I stay|I will be] in {city} for {nights} nights, [book a hotel|I need a room].

call_taxi | Order a taxi | id
- pickup:address Where to be picked up
[Call|Order|Get|Send] [me |]a [taxi|cab] to {pickup}.
I need a [taxi|cab|ride] [at|from] {pickup}.

route | How far and how long between two places | route
- start:city Start
- end:city Destination
[How far|How long] is it from {start} to {end}?
[How do I get|Show me the way|Navigate|Give me directions] from {start} to {end}[?|]
[Distance|Route] from {start} to {end}[?|]

calendar_add | Put an event in the calendar | id
- title:title Name of the event
- date:date Date as YYYY-MM-DD
[Add|Put|Enter] {title} [to|in|into] [my|the] calendar [on|for] {date}.
[Schedule|Plan|Book] {title} [on|for] {date}.
[I have|There is] {title} on {date}, [put it in my calendar|add it to my calendar].

calendar_list | Events of a day | events
- date:date Date as YYYY-MM-DD
What [is on my calendar|do I have|are my appointments|is planned|have I planned] [on|for] {date}?
[Show|List|Read] my [events|appointments|meetings] [on|of|for] {date}.
[Am I free|Am I busy] on {date}?

add_todo | Add a task to the to-do list | id
- task:phrase What to do
[Add|Put] "{task}" [to|on] my [to-do list|todo list|list|tasks].
[Remind me to|I must not forget to|Note that I have to] {task}[.|]
[New task|To do]: {task}

shopping_add | Put something on the shopping list | done
- item:thing What to buy
- quantity:small=1 How many
[Put|Add] {quantity} {item} [to|on] [the|my] shopping list.
[We need|I need to buy|Buy] {quantity} {item}[.|, put it on the shopping list.]
[Add|Put] {item} [to|on] the [shopping|grocery] list.

make_note | Save a note | id
- text:phrase Content
[Make|Take|Write|Save] a note: {text}
[Note|Write down|Jot down] "{text}".
[Remember|Save] this [for me|as a note]: {text}

news_headlines | Latest news on a topic | titles
- topic:topic Subject
[What's new|Any news|What is the latest] [about|on|in] {topic}?
[Show|Give|Read] me [the |]news [about|on] {topic}.
[Headlines|News] about {topic}[ please|].

recipe_find | Find recipes with an ingredient | titles
- ingredient:thing Main ingredient
[What can I cook|Give me a recipe|Find recipes|I want to cook something|What dishes are there] with {ingredient}?
[I have|There are] {ingredient} in the fridge, what [can I cook|could I make]?

word_meaning | Meaning of a word from the dictionary | meaning
- word:pseudo The word
What does [the word |]{word} mean?
[Define|Explain|Look up|Give me the meaning of] [the word |]{word}[.|]
[Meaning|Definition] of {word}[?|]

user_lookup | Find a customer by name | record
- name:fullname Full name
[Find|Look up|Search for|Show me|Who is] [the customer |customer |]{name}[.|]
[Do we have|Is there] a customer [called|named] {name}?
[Give me|Get] the [record|data|details] of {name}.

create_account | Create a user account | id
- username:handle Login name
- email:email Address
[Create|Open|Make|Set up] an account for {username} with [the email|email|address] {email}.
[Register|Sign up] {username}, {email}.

reset_password | Reset the password of a user | done
- username:handle Login name
[Reset|Change|Renew] the password [of|for] {username}.
{username} [forgot|has forgotten|lost] [the|their] password.

bank_balance | Balance of a bank account | number(balance)
- account:code Account number
[What is|What's|Show me|Tell me|Check] the balance [of|on] [account |]{account}[?|]
How much [money |]is [on|in|left on] [account |]{account}?

transfer | Transfer money to somebody | id
- to:person Who gets it
- amount:number Amount in euros
[Send|Transfer|Pay|Wire] {amount} [euros |EUR |]to {to}.
[Pay|Give|Send] {to} {amount}[ euros|].
[I owe|I have to pay] {to} {amount}[ euros|], [send it|pay it|transfer it].

library_search | Search books in the library | titles
- author:fullname Author
[Which books|What] [by|of] {author} [do you have|are there|does the library have]?
[Find|Show me|Search|List] books [by|written by] {author}.
[Has|Did] {author} [written any books|write anything]?

film_info | Facts about a film | record
- title:title Title of the film
[Tell me about|Who made|Give me facts about|What do you know about|What is] the [film|movie] {title}[?|]
[Look up|Find|Search] the [film|movie] {title}.

score_of_team | Last result of a team | score
- team:place Team
[How did|What did] {team} [play|do][ yesterday| last night|]?
[What is|What was|Give me] the [score|result|last result] of {team}[?|]
Did {team} win?

lock_door | Lock or unlock a door | done
- door:room Which door
- action:enum(lock,unlock) What to do
[Please |]{action} the {door}[ door|].
[Can you|Could you] {action} the {door} door?

vacuum | Send the robot vacuum to a room | done
- room:room Room to clean
[Clean|Vacuum|Hoover] the {room}[.| please.]
[The {room}|My {room}] is [dirty|dusty|full of crumbs].
Send the [robot|vacuum|cleaner] to the {room}.

print_file | Print a file | id
- file:filename Name of the file
- copies:small=1 Number of copies
[Print|Put on paper] {copies} copies of {file}.
[Print|Please print|I need a printout of] {file}[.|, {copies} copies.|, {copies} times.]

delete_file | Delete a file | done
- path:filename Name of the file
[Delete|Remove|Erase|Get rid of|Trash] [the file |]{path}[.| please.]
I [don't need|no longer need] {path}[ any more, delete it|, remove it].

resize_image | Resize a picture | id
- file:image Picture file
- width:size Width in pixels
- height:size Height in pixels
[Resize|Scale|Shrink] {file} to {width} [by|x|times] {height}[ pixels|].
[Make|I need] {file} {width} pixels wide and {height} [pixels |]high.

roll_dice | Throw dice | rolls
- count:small Number of dice
- sides:small=6 Sides of each die
[Roll|Throw] {count} dice[.| with {sides} sides.| with {sides} sides each.]
[Give me|I want] {count} [dice rolls|throws of a die].

server_state | Health of a server | status
- host:host Host name
[Is|Check whether|Check if] {host} [up|running|alive|online|healthy|down][?|]
[How is|What is the state of|Check|Ping] [the server |server |]{host}[?|]

restart_service | Restart a service | done
- service:handle Name of the service
- delay:small? Wait this many seconds
[Restart|Reboot|Bounce] [the service |the |]{service}[ service|][.| in {delay} seconds.| after {delay} seconds.]
{service} [hangs|is stuck|has crashed], restart it[ in {delay} seconds|].

create_ticket | Open a support ticket | id
- title:phrase Short description
- priority:enum(low,normal,high)=normal How urgent
[Open|Create|File|Make] a [ticket|support ticket|{priority} priority ticket]: {title}
[Report|Open a ticket about] "{title}"[.|, priority {priority}.|, it is {priority} priority.]

assign_ticket | Give a ticket to a colleague | done
- ticket:integer Number of the ticket
- person:person Who shall do it
[Assign|Give|Hand] ticket {ticket} to {person}.
[Let|Have] {person} [take|do|handle] ticket {ticket}.
{person} [should|will] [work on|take] ticket {ticket}.

vote | Cast a vote | done
- option:title What to vote for
[Vote|My vote is|I vote|Cast my vote] for {option}[.|]
I [choose|pick] {option}.

water_plants | Water the plants somewhere | done
- area:room Which plants
- minutes:small How long
[Water|Irrigate|Sprinkle] the {area} [plants |]for {minutes} minutes.
[The plants|Plants] in the {area} [are dry|need water], {minutes} minutes.

start_survey | Create a survey | id
- question:question The question
- answers:list The possible answers
[Create|Make|Start] a [survey|poll|vote] [with the question|asking|on] "{question}" with [the answers|the options|answers] {answers}.
[Ask|Survey|Poll] [everyone|people|the group] "{question}": {answers}.

invite | Invite people to a meeting | id
- meeting:title Name of the meeting
- guests:people Who to invite
[Invite|Ask] {guests} to {meeting}.
[Send|Write] invitations for {meeting} to {guests}.

book_court | Reserve a sports court | id
- court:small Number of the court
- time:clock Time as HH:MM
[Book|Reserve|Get] [me |us |]court {court} [at|for] {time}.
[We|I] want to play on court {court} at {time}.

fuel_price | Price of fuel | number(price)
- kind:enum(diesel,petrol,electric) Kind of fuel
- town:city Town
[What does|How much does] {kind} cost in {town}?
[Price|Cost] of {kind} in {town}[?|]

sun_times | Sunrise and sunset | sun
- town:city Town
When [does the sun [rise|set|come up|go down]|is [sunrise|sunset]] in {town}?
[Sunrise|Sunset] [time |]in {town}[?|]
When [does it get|is it] [dark|light] in {town}?

local_time | The time at a place | clock
- city:city Town
[What time is it|What's the time|How late is it] in {city}[ now|]?
[Time|Current time|Local time] in {city}[?|]
[Tell me|Give me] the [local time|time] [in|of] {city}.

population | Number of people living in a town | number(population)
- town:place Town
How many [people|inhabitants] [live in|are there in|does] {town}[?| have?]
[What is|Give me] the population of {town}[?|]
How [big|populous] is {town}?

air_quality | How clean the air is | number(index)
- place:city Town
[How is|What is|Check] the air[ quality|] in {place}[?|]
Is the air [clean|good|bad|polluted] in {place}?

set_reminder | Remind the user of something | done
- what:phrase What to remember
- time:clock Time as HH:MM
Remind me [to|of] {what} at {time}.
At {time}[,|] remind me: {what}
[Set|Make] a reminder [for|at] {time}: {what}

get_discount | Check a coupon code | coupon
- code:code The coupon
[Is|Check if|Does] [the |]coupon {code} [still valid|valid|work][?|]
[What do I get|How much do I save] with [the code |]{code}?
[I have|Here is] a [voucher|coupon]: {code}. [Is it any good|Can I use it]?

room_booking | Book a meeting room | id
- room:title Name of the room
- date:date Date as YYYY-MM-DD
[Book|Reserve|Get] [the |]{room} [room |]for [us on|] {date}.
[We need|I need] [the |]{room} [room |]on {date}.

loan_cost | Monthly payment of a loan | number(monthly)
- sum:number Amount borrowed
- years:small Years
- rate:decimal Interest in percent
[What do I pay|What is the payment|How much do I pay] [monthly |a month |]for a loan of {sum} over {years} years at {rate}[%| percent]?
[I borrow|I want to borrow] {sum} for {years} years at {rate}[%| percent], [what is that a month|what is the monthly payment]?

body_mass | Body mass index of a person | number(bmi)
- weight:decimal Kilograms
- height:decimal Metres
[What is my BMI|Compute the BMI|Give me my body mass index] [with|at|for] {weight} kg and {height} m?
I weigh {weight} kg and am {height} m tall, what is my [BMI|body mass index]?
"""

INTENTS = read(TEXT) + read(MORE)
