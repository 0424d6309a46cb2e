"""More everyday functions, many in pairs of opposites or without parameters. Data only, in the blocks of intents.py."""

TEXT = """
timer_pause | Pause the running timer | done
[Pause|Hold|Freeze] the timer[.|, please.| for a moment.]
[Wait|One moment], [pause|hold] the [timer|countdown].

timer_resume | Let a paused timer go on | done
[Continue|Resume|Go on with] the timer.
[Let|Make] the timer [run|go on] again.

alarm_off | Switch off the alarm | done
[Stop|Switch off|Turn off|Silence] the alarm[!|.|]
[I'm awake|I am up], [stop the alarm|no more alarm].

alarm_list | All alarms that are set | titles
[Which|What] alarms [are set|do I have|did I set][?|]
[Show|List] [my|all] alarms.

music_stop | Stop the music | done
[Stop|End|Switch off|Turn off] the music[.|, please.]
[Quiet|Silence], [no more music|stop playing].

music_next | Skip to the next song | done
[Next|Skip|Skip this|Another] [song|track|one][.|, please.|]
I don't like this song[.|, skip it.]

what_plays | Title of the song that is playing | record
[What|Which] song is [this|playing|that][?|]
[What is|Who sings] this [song|music]?

battery | Battery level of a device | number(percent)
- device:device Name of the device
How [full|much battery|charged] [is|has] [the|my] {device}[?|]
[What is|Check] the battery [level|charge|] of [the|my] {device}[?|]

device_find | Make a lost device ring | done
- device:device Device to find
[Find|Ring|Where is|I lost] my {device}[.|]
[I can't find|Help me find] my {device}.

wifi_password | Password of the wireless network | code
[What is|What's|Tell me|Give me] the [wifi|wi-fi|wireless|network] password[?|]
[How do I|How can guests] [get into|join] the wifi?

wifi_switch | Switch the wireless network on or off | done
- state:enum(on,off) New state
[Turn|Switch] [the |]wifi {state}.
[Turn|Switch] {state} the [wifi|wireless network].

blinds_up | Open the blinds of a room | done
- room:room Room
[Open|Raise|Pull up] the [blinds|shutters|curtains] in the {room}.
[Let|I want] [some |more |]light [into|in] the {room}, [open|raise] the [blinds|shutters].

blinds_down | Close the blinds of a room | done
- room:room Room
[Close|Lower|Pull down|Shut] the [blinds|shutters|curtains] in the {room}.
It is too bright in the {room}, [close|lower] the [blinds|shutters].

heater_boost | Heat a room for a while | done
- room:room Room
- minutes:small Duration in minutes
[Boost|Run] the heater in the {room} for {minutes} minutes.
[I'm cold|It's cold] in the {room}, heat it for {minutes} minutes.

sprinkler_off | Stop watering | done
[Stop|Turn off|Switch off|End] the [sprinkler|watering|irrigation][.|, please.]
[The garden is|It is] wet enough, stop watering.

oven_preheat | Heat the oven up | done
- celsius:integer Temperature in Celsius
[Preheat|Heat|Warm] the oven to {celsius}[ degrees|].
[Set|Bring] the oven to {celsius} degrees.

coffee_make | Brew coffee | done
- cups:small How many cups
- strength:enum(mild,normal,strong)=normal How strong
[Make|Brew|Prepare|I need|I want] {cups} cups of [{strength} |]coffee.
[Coffee|{strength} coffee] for {cups}[ people|], please.

door_bell_mute | Silence the door bell | done
- hours:small For how many hours
[Mute|Silence|Turn off] the [door bell|doorbell|bell] for {hours} hours.
[No ringing|The baby sleeps, no bell] for {hours} hours[ please|].

door_bell_unmute | Let the door bell ring again | done
[Unmute|Turn on] the [door bell|doorbell|bell][ again|].
[Let|Allow] the [bell|door bell] [to ring|ring] again.

garage_open | Open the garage door | done
[Open|Raise] the garage[ door|][.|, I am [home|coming].]
[I'm home|I am back], open the garage.

garage_close | Close the garage door | done
[Close|Shut|Lower] the garage[ door|].
[I forgot to close|Is the garage open? Close] the garage.

bus_departures | Next buses from a stop | times
- stop:title Name of the bus stop
When [does|will] the next bus [leave|go|come] [from|at] {stop}?
[Next|Show the] [bus|buses|departures] [from|at] {stop}[?|]
[Which|What] buses [leave|go] from {stop}[ now|]?

bike_rent | Rent a bicycle | id
- station:title Where to take it
- hours:small For how long
[Rent|Get|I want|Book] [me |]a [bike|bicycle] at {station} for {hours} hours.
I need a [bike|bicycle] for {hours} hours from {station}.

bike_return | Give a rented bicycle back | done
- bike:code Number of the bicycle
[Return|Give back|Bring back] [the |]bike {bike}.
I am done with bike {bike}.

parking_spot | Find a place to park | places
- street:address Where
[Find|Where is|I need] [a parking spot|parking|a place to park] [near|at|around] {street}.
[Where can I|Can I] park [near|at|around] {street}?

charging_station | Find a charger for electric cars | places
- town:city Town
- plug:enum(ccs,chademo,type2)? Kind of plug
[Where can I|Where do I] charge [my car|my electric car] in {town}?
[Find|Show] [a charger|chargers|charging stations] [in|near] {town}[.| with a {plug} plug.]

toll_price | Road toll between two towns | number(euros)
- from_town:city Start
- to_town:city Destination
[How much|What] [is the|do I pay as] toll from {from_town} to {to_town}?
[Toll|Road toll] {from_town} - {to_town}?

ferry_times | Departures of a ferry | times
- island:place Destination
When [does|do] the [ferry|ferries|boat] [to|for] {island} [leave|go|sail]?
[Ferry|Boat] [times|departures] to {island}[?|]

visa_rules | Whether a visa is needed | record
- country:place Country to visit
Do I need a visa [for|to go to|to visit] {country}?
[Visa|Visa rules] for {country}[?|]

luggage_claim | Report lost luggage | id
- flight:flight Flight number
- description:phrase What it looks like
[My|The] [bag|suitcase|luggage] [from|of] flight {flight} is [lost|missing|gone]: {description}
[Report|I lost my] luggage [of|from|on] flight {flight}: {description}

seat_change | Change the seat on a flight | done
- booking:code Booking number
- seat:code New seat
[Change|Move] my seat [on|in|of] booking {booking} to {seat}.
I want seat {seat} [for|on] booking {booking}.

doctor_visit | Make an appointment with a doctor | id
- doctor:person Name of the doctor
- day:date Date as YYYY-MM-DD
[Make|Book|Get] [me |]an appointment with [doctor|Dr.|Dr] {doctor} [on|for] {day}.
I [need|want] to see [doctor|Dr.] {doctor} on {day}.

prescription | Renew a prescription | id
- medicine:pseudo Name of the medicine
[Renew|Refill|Reorder] my [prescription of|prescription for|] {medicine}.
I am [running |]out of {medicine}.

log_weight | Write down the weight of the user | done
- kilograms:decimal Weight
[I weigh|My weight is|Log my weight:] {kilograms} kg[ today| now|].
[Note|Enter|Record] {kilograms} kg as my weight.

log_run | Write down a run | done
- distance:decimal Kilometres
- minutes:small Time in minutes
I ran {distance} km in {minutes} minutes.
[Log|Add|Enter] a run of {distance} km, {minutes} minutes.

step_count | Steps walked on a day | number(steps)
- date:date Date as YYYY-MM-DD
How [many steps|far] did I [walk|go|make] on {date}?
[Steps|My steps] on {date}[?|]

calories | Calories of a food | number(calories)
- food:thing Food
How many calories [do|are in|have] {food}[ have|]?
[Calories|Energy] of {food}[?|]

subscribe | Subscribe to a newsletter | done
- list:title Name of the newsletter
- email:email Address
[Subscribe|Sign up|Add] {email} to {list}.
[Send|I want] the newsletter {list} [to|at] {email}.

unsubscribe | Leave a newsletter | done
- list:title Name of the newsletter
- email:email Address
[Unsubscribe|Remove|Take] {email} from {list}.
[Stop sending|No more] {list} to {email}[, please|].

follow_user | Follow somebody | done
- user:handle Account
[Follow|Start following] {user}.
[I want to|Let me] see posts of {user}.

unfollow_user | Stop following somebody | done
- user:handle Account
[Unfollow|Stop following] {user}.
[I don't want to|No more] [see|] posts of {user}.

post_message | Publish a post | id
- text:phrase Text of the post
[Post|Publish|Tweet] "{text}".
[Write|Make] a post: {text}

channel_archive | Archive a chat channel | done
- channel:handle Name of the channel
[Archive|Close] the [channel |]{channel}[ channel|].
We [don't use|no longer need] the {channel} channel[.|, archive it.]

channel_create | Open a new chat channel | id
- channel:handle Name of the channel
- members:people Who joins
[Create|Open|Make|Start] a channel [called |named |]{channel} [with|for] {members}.
[I need|We need] a channel {channel} for {members}.

domain_price | Price of a domain name | number(price)
- domain:domain Domain name
[What does|How much does] [the domain |]{domain} cost?
[Price|Cost] of {domain}[?|]

certificate_expiry | When the certificate of a web site ends | record
- domain:domain Domain name
When does the certificate [of|for] {domain} [expire|end|run out]?
[How long is|Is] the certificate of {domain} [still |]valid?

deploy | Roll out a version to a server | id
- version:version Version
- target:enum(test,staging,production) Where
[Deploy|Roll out|Ship|Release] [version |]{version} to {target}.
[Put|Bring] {version} [on|to] {target}.

rollback | Go back to an earlier version | done
- version:version Version
[Roll back|Go back|Return|Revert] to [version |]{version}.
[The release is broken|Something broke], [go back|roll back] to {version}.

log_search | Search log lines | titles
- service:handle Service
- words:phrase What to look for
[Search|Look in] the logs of {service} for "{words}".
[Find|Show] "{words}" in the [log|logs] of {service}.

backup_start | Start a backup | id
- folder:handle Folder
[Back up|Save|Start a backup of] [the folder |]{folder}[.|]
[Make|Run] a backup of {folder}.

disk_space | Free space on a disk | number(free_gb)
- host:host Host
How much [disk |]space is [left|free] on {host}?
[Is|Check if] the disk of {host} [is |]full[?|]

branch_delete | Delete a git branch | done
- branch:handle Name of the branch
[Delete|Remove|Drop] [the |]branch {branch}.
[Get rid of|We don't need] [the |]branch {branch}[ any more|].

issue_close | Close an issue | done
- issue:integer Number of the issue
[Close|Resolve] [issue|ticket|bug] [#|number |]{issue}.
[Issue|Bug] {issue} is [fixed|done|solved][.|, close it.]

issue_reopen | Open a closed issue again | done
- issue:integer Number of the issue
[Reopen|Open] [issue|bug] [#|number |]{issue}[ again|].
[Issue|Bug] {issue} [is back|came back|is not fixed].

issue_comment | Comment on an issue | done
- issue:integer Number of the issue
- text:phrase The comment
[Comment on|Reply to] issue {issue}: {text}
[Write|Add] "{text}" [to|under] issue {issue}.

invoice_send | Send an invoice to a customer | id
- customer:title Customer
- amount:number Amount
[Send|Write|Bill] [an invoice over {amount} to {customer}|{customer} {amount}].
{customer} owes us {amount}, send an invoice.

invoice_paid | Whether an invoice is paid | paid
- number:code Number of the invoice
[Is|Was] invoice {number} paid[ already|]?
[Has|Did] [the customer|anybody] [paid|pay] invoice {number}?

expense_add | Record an expense | id
- amount:number Amount
- purpose:word What for
[I spent|I paid|Record|Add] {amount} [for|on] {purpose}.
[Expense|New expense]: {amount}, {purpose}

salary_slip | Salary slip of a month | record
- employee:person Name
- month:month Month
[Show|Get|Print|I need] the [salary slip|pay slip] of {employee} for {month}.
[What did|How much did] {employee} earn in {month}?

holiday_request | Ask for days off | id
- start:date First day
- end:date Last day
[I want|I'd like|Request] [holidays|vacation|days off|leave] from {start} to {end}.
I will be away from {start} [to|until] {end}.

sick_note | Report that somebody is ill | done
- name:person Who
{name} is [ill|sick|not well][ today|].
[Report|Put] {name} [sick|as sick|ill].

room_free | Whether a meeting room is free | free
- room:title Name of the room
- time:clock Time as HH:MM
Is [the |]{room} [free|available|empty] at {time}?
[Can we|Can I] use {room} at {time}?

desk_lamp_colour | Colour of the desk lamp | done
- colour:enum(red,green,blue,white,yellow) New colour
[Make|Turn|Set] the [desk |]lamp {colour}.
I want {colour} light[.|, please.]

photo_upload | Upload a picture to an album | id
- file:image Picture
- album:title Album
[Upload|Add|Put|Save] {file} [to|in|into] [the |my |]{album}[ album|].

video_length | Length of a video | number(seconds)
- file:videofile Video file
How long is [the video |]{file}?
[Length|Duration] of {file}[?|]

video_cut | Cut a piece out of a video | id
- file:videofile Video file
- start:clock Begin
- end:clock End
[Cut|Trim|Clip] {file} from {start} to {end}.
[Take|Keep] {start} to {end} of {file}.

spell_check | Check the spelling of a text | errors
- text:phrase Text
[Check|Correct] the spelling of "{text}".
[Is|Are there mistakes in] "{text}"[ spelled right|]?

summarize | Summary of a document | summary
- document:filename File
[Summarize|Sum up|Give me a summary of|What is the gist of] {document}[.|]
[What is|What's] {document} about?

page_count | Number of pages of a document | number(pages)
- document:filename File
How many pages [has|does] {document}[ have|]?
[How long is|Pages of] {document}?

quiz_question | A question for a quiz | question
- topic:topic Subject
[Ask|Give] me a [quiz |]question [about|on] {topic}.
[Test|Quiz] me on {topic}.

lottery_numbers | Draw random lottery numbers | rolls
- count:small How many numbers
[Draw|Pick|Give me] {count} [lottery|lucky|random] numbers.
[I play the lottery|For the lottery], {count} numbers please.

coin_flip | Flip a coin | side
[Flip|Toss|Throw] a coin[.|, please.| for me.]
[Heads or tails|Let a coin decide][?|.]

random_colour | A random colour | colour
[Pick|Choose|Give me|Suggest] a [random |]colour[.|]
[Which|What] colour should I [take|use|choose]?

moon_phase | Phase of the moon on a day | phase
- date:date Date as YYYY-MM-DD
[What is|What will be] the [phase of the moon|moon phase] on {date}?
[Is|Will] [it be |there be a |]full moon on {date}?

tide_times | High and low water | sun
- harbour:place Harbour
When is [high water|low water|high tide|low tide] [in|at] {harbour}?
[Tides|Tide times] [for|in|at] {harbour}[?|]

snow_depth | Snow on a ski slope | number(cm)
- resort:place Ski resort
How much snow [is there|lies] [in|at] {resort}?
[Snow|Snow depth] [in|at] {resort}[?|]

water_temperature | Temperature of a lake or sea | number(celsius)
- lake:place Which water
How [warm|cold] is [the water of|the water in|] {lake}?
[Can I|Can we] swim in {lake}?

pollen | Pollen in the air | number(level)
- city:city Town
How [much|bad is the] pollen [is there |]in {city}[ today|]?
[Pollen|Pollen level] [for|in] {city}[?|]

speed_limit | Speed limit of a road | number(limit)
- road:address Road
How fast [can I|may I|am I allowed to] drive [on|in] {road}?
[Speed limit|Limit] [on|in] {road}[?|]

postal_code | Postal code of a town | code
- town:place Town
[What is|Tell me|Find] the [postal code|zip code|postcode] of {town}[?|]
[Postcode|Zip] [of|for] {town}[?|]

phone_number | Phone number of a person or firm | code
- name:title Whose number
[What is|Tell me|Find|Look up] the [phone |telephone |]number of {name}[?|]
How can I [call|reach|phone] {name}?

opening_hours | When a shop is open | record
- shop:title Shop
When [is|does] {shop} [open|close|shut]?
[Opening hours|Hours] of {shop}[?|]
[Is|Has] {shop} [still |]open[ed|]?

gift_card | Value left on a gift card | number(left)
- card:code Number of the card
How much is [left |]on [my |the |]gift card {card}?
[Check|Value of] [the |my |]gift card {card}[?|.]

product_stock | How many of a product are in stock | number(stock)
- product:thing Product
How many {product} [are|do we have] [in stock|left]?
[Do we|Do you] [still |]have {product}?

product_return | Send a product back | id
- order:code Order number
- reason:phrase Why
[I want to|Let me] [return|send back] order {order}: {reason}
[Return|Send back] order {order} because {reason}.

rating_give | Rate something | done
- thing:title What
- stars:small Stars from 1 to 5
[Give|Rate] {thing} {stars} stars.
{thing} [deserves|gets] {stars} stars.

pet_feed | Feed a pet | done
- pet:animal Which pet
- grams:integer=50 Amount in grams
[Feed|Give food to] the {pet}[.|, {grams} grams.| {grams} grams.]
The {pet} is hungry[.|, give it {grams} grams.]

vet_visit | Appointment at the vet | id
- animal:animal Kind of animal
- date:date Date as YYYY-MM-DD
[My|The] {animal} [needs|has to see] [a vet|the vet] on {date}.
[Book|Make] a [vet|vet's] appointment for my {animal} on {date}.

grade_of | Grade of a student | record
- student:person Student
- subject:topic Subject
[What|Which] grade [has|did] {student} [got |get |]in {subject}?
How [good|bad] is {student} in {subject}?

homework | Homework for a day | titles
- date:date Date as YYYY-MM-DD
[What|Which] [is my|is the|] homework [do I have |is due |][on|for] {date}?
[Homework|My homework] for {date}[?|]

unit_price | Price of one piece of a product | number(price)
- product:thing Product
[How much|What] [is one of the|do the] {product}[ cost|]?
[Price of|Cost of] {product}[?|]

language_detect | Language of a text | language
- text:phrase The text
[What|Which] language is "{text}"?
[Detect|Find out] the language of "{text}".

emoji | Emoji for a word | emoji
- word:word The word
[What is|Give me|Find] [the|an] emoji for {word}[?|]

rhyme | Words that rhyme | titles
- word:word The word
What rhymes with {word}?
[Give me|Find] [rhymes|words that rhyme] [for|with] {word}.

synonym | Words of the same meaning | titles
- word:word The word
[Give me|Find|What is] [a synonym|another word|synonyms] [for|of] {word}[?|]

feedback | Send feedback to the makers | id
- text:phrase What to tell them
[Send|Give] feedback: {text}
[Tell|Let] the [developers|makers|team] [know |]that {text}.

dark_mode | Switch dark mode | done
- enabled:boolean On or off
[Turn|Switch] dark mode {enabled}.
[I want|Set] dark mode {enabled}.

notifications | Switch notifications | done
- enabled:boolean On or off
[Turn|Switch] [the |my |]notifications {enabled}.
[Turn|Switch] {enabled} [the |my |]notifications.
"""
